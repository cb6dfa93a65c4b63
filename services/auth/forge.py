"""ES256 key pairs: made, sealed for the store, and used to sign access tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.auth.key_rotation import NewKey, SigningKey

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 — the media type of RFC 9068 §2.1
_COORDINATE_BYTES = 32
_NONCE_BYTES = 12
_KEY_BYTES = 32
_MIN_SECRET_BYTES = 32


def derive_key(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose from the process's secret (RFC 5869). ValueError when the secret is too short."""
    if len(secret) < _MIN_SECRET_BYTES:
        raise ValueError(f"the signing key secret must have at least {_MIN_SECRET_BYTES} bytes")
    derived = HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=f"polychat auth {purpose}".encode())
    return derived.derive(secret)


class Es256Forge:
    """KeyForge on P-256. A private key is sealed with AES-GCM, bound to its kid."""

    def __init__(self, sealing_key: bytes) -> None:
        self._cipher = AESGCM(sealing_key)
        self._opened: tuple[str, ec.EllipticCurvePrivateKey] | None = None

    def new(self) -> NewKey:
        private = ec.generate_private_key(ec.SECP256R1())
        numbers = private.public_key().public_numbers()
        public = {"crv": "P-256", "kty": "EC", "x": _coordinate(numbers.x), "y": _coordinate(numbers.y)}
        kid = _thumbprint(public)
        encoded = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, encoded, kid.encode())
        return NewKey(kid, {**public, "kid": kid, "use": "sig", "alg": ALGORITHM}, sealed)

    def sign(self, key: SigningKey, claims: dict[str, str | int]) -> str:
        headers = {"kid": key.kid, "typ": TOKEN_TYPE}
        return jwt.encode(dict(claims), self._open(key), algorithm=ALGORITHM, headers=headers)

    def _open(self, key: SigningKey) -> ec.EllipticCurvePrivateKey:
        if self._opened is None or self._opened[0] != key.kid:
            self._opened = (key.kid, self._unseal(key))
        return self._opened[1]

    def _unseal(self, key: SigningKey) -> ec.EllipticCurvePrivateKey:
        sealed = key.sealed_private or b""
        try:
            encoded = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key.kid.encode())
        except (InvalidTag, ValueError) as error:
            raise ValueError(
                f"signing key {key.kid} cannot be opened: "
                "POLYCHAT_SIGNING_KEY_SECRET_FILE is not the one it was sealed with"
            ) from error
        private = serialization.load_der_private_key(encoded, password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise ValueError(f"signing key {key.kid} is not an elliptic curve key")
        return private


def _coordinate(value: int) -> str:
    return _base64url(value.to_bytes(_COORDINATE_BYTES, "big"))


def _thumbprint(public: dict[str, str]) -> str:
    """RFC 7638: a kid that follows from the key."""
    canonical = json.dumps(public, separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
