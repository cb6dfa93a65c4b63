"""Tokens of any header, claims and signature, and a key set that can go away."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from chassis.errors import BackendUnavailable

NOW = 1_800_000_000
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
HEADER: dict[str, Any] = {"alg": "ES256", "kid": "k1", "typ": "at+jwt"}
CLAIMS: dict[str, Any] = {
    "iss": "polychat",
    "aud": "polychat",
    "sub": "7",
    "sid": "8",
    "jti": "j",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 900,
    "ver": 1,
}


def b64(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def jwk(key: ec.EllipticCurvePrivateKey, kid: str) -> dict[str, Any]:
    """The public key as auth shows it."""
    numbers = key.public_key().public_numbers()
    x, y = (b64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig"}


def es256(key: ec.EllipticCurvePrivateKey, signed: bytes) -> bytes:
    """A signature as JWS wants it: r and s, 32 bytes each."""
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed_by_key(signed: bytes) -> bytes:
    """The signature of the current key."""
    return es256(KEY, signed)


def token(
    header: Mapping[str, Any] | str = HEADER,
    claims: Mapping[str, Any] | str = CLAIMS,
    sign: Callable[[bytes], bytes] = signed_by_key,
) -> str:
    """A compact JWS of any header and claims; a text is taken for JSON as it is."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, claims)]
    signed = ".".join(b64(part.encode()) for part in parts)
    return f"{signed}.{b64(sign(signed.encode()))}"


class Jwks:
    """auth's key set, counted; `away` makes it fail."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.away = False

    async def __call__(self) -> Sequence[Mapping[str, Any]]:
        self.asked += 1
        if self.away:
            raise BackendUnavailable("auth")
        return self.keys


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now
