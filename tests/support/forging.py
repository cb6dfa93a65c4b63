"""Access tokens that auth would never give: made with its real key, or without."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.auth.forge import derive_key
from tests.support.api import User
from tests.support.stack import Stack

LIFE_SECONDS = 900
NONCE_BYTES = 12


class Forger:
    """Has auth's current signing key, as a thief of its secrets would."""

    def __init__(self, stack: Stack) -> None:
        with psycopg.connect(stack.postgres_dsn) as connection:
            query = (
                "SELECT kid, public_jwk::text, sealed_private FROM auth.signing_key WHERE state = 'current'"
            )
            row = connection.execute(query).fetchone()
        assert row is not None
        self.kid, public, sealed = str(row[0]), str(row[1]), bytes(row[2])
        secret = stack.secret("signing-key.secret").encode()
        cipher = AESGCM(derive_key(secret, "signing keys"))
        der = cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self.kid.encode())
        self._private = serialization.load_der_private_key(der, password=None)
        self.public_jwk: dict[str, str] = json.loads(public)

    def token(
        self,
        user: User,
        *,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> str:
        """Right in every respect but those named; a claim of None is left out."""
        body = self._claims(user) | dict(claims or {})
        body = {name: value for name, value in body.items() if value is not None}
        head = {"kid": self.kid, "typ": "at+jwt"} | dict(header or {})
        assert isinstance(self._private, ec.EllipticCurvePrivateKey)
        return jwt.encode(body, key or self._private, algorithm="ES256", headers=head)

    def unsigned(self, user: User) -> str:
        """`alg: none`."""
        return _join({"alg": "none", "typ": "at+jwt", "kid": self.kid}, self._claims(user), b"")

    def signed_with_the_public_key(self, user: User) -> str:
        """HS256 keyed with what everybody can read (RFC 8725 section 2.1)."""
        header = {"alg": "HS256", "typ": "at+jwt", "kid": self.kid}
        signed = _join(header, self._claims(user), b"").rpartition(".")[0]
        key = json.dumps(self.public_jwk, separators=(",", ":"), sort_keys=True).encode()
        mac = hmac.new(key, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{_base64url(mac)}"

    def _claims(self, user: User) -> dict[str, Any]:
        now = int(time.time())
        session = jwt.decode(user.access_token, options={"verify_signature": False})["sid"]
        return {
            "iss": "polychat",
            "aud": "polychat",
            "sub": str(user.user_id),
            "sid": session,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "nbf": now,
            "exp": now + LIFE_SECONDS,
            "ver": 1,
        }


def ago(seconds: float) -> int:
    """A claim's time, this long before now."""
    return int(datetime.now(UTC).timestamp() - seconds)


def stranger_key() -> ec.EllipticCurvePrivateKey:
    """A key of the right kind that nobody knows."""
    return ec.generate_private_key(ec.SECP256R1())


def with_another_signature(token: str) -> str:
    """The same token with its last signature byte changed."""
    body, _, signature = token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[-1] ^= 1
    return f"{body}.{_base64url(bytes(raw))}"


def with_another_user(token: str, user_id: int) -> str:
    """The same signature under a changed `sub`."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["sub"] = str(user_id)
    return f"{header}.{_base64url(json.dumps(claims).encode())}.{signature}"


def _join(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes) -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(map(_base64url, parts))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
