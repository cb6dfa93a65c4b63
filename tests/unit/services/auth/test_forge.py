"""Signing keys: sealed at rest, and tokens exactly as the verifier wants them."""

from __future__ import annotations

from dataclasses import replace

import jwt
import pytest

from services.auth.forge import Es256Forge, derive_key
from services.auth.key_rotation import KeyState, SigningKey
from tests.support.auth_world import START


def key_of(forge: Es256Forge) -> SigningKey:
    """A current key."""
    new = forge.new()
    return SigningKey(new.kid, KeyState.CURRENT, new.public_jwk, new.sealed_private, START, START)


def test_a_signature_is_checked_with_the_public_key() -> None:
    """The header is exactly alg, kid and typ."""
    forge = Es256Forge(b"k" * 32)
    key = key_of(forge)
    token = forge.sign(key, {"sub": "7"})
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}
    assert jwt.decode(token, jwt.PyJWK(dict(key.public_jwk)), algorithms=["ES256"]) == {"sub": "7"}


def test_the_public_key_holds_no_private_part() -> None:
    """Only the members of a public key are shown."""
    assert set(Es256Forge(b"k" * 32).new().public_jwk) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_coordinates_keep_their_leading_zeros() -> None:
    """RFC 7518 §6.2.1.2: always 32 bytes, 43 characters."""
    forge = Es256Forge(b"k" * 32)
    assert {len(forge.new().public_jwk[name]) for name in ("x", "y") for _ in range(300)} == {43}


def test_another_secret_does_not_open_the_key() -> None:
    """A stolen table is worth nothing without the secret; the message names the setting."""
    key = key_of(Es256Forge(b"k" * 32))
    with pytest.raises(ValueError, match="POLYCHAT_SIGNING_KEY_SECRET_FILE"):
        Es256Forge(b"x" * 32).sign(key, {})


def test_a_sealed_key_belongs_to_its_kid() -> None:
    """A private half moved to another row is refused."""
    forge = Es256Forge(b"k" * 32)
    first, second = key_of(forge), key_of(forge)
    with pytest.raises(ValueError, match="cannot be opened"):
        forge.sign(replace(first, sealed_private=second.sealed_private), {})


def test_a_retired_key_cannot_sign() -> None:
    """Its private half is gone."""
    forge = Es256Forge(b"k" * 32)
    with pytest.raises(ValueError, match="cannot be opened"):
        forge.sign(replace(key_of(forge), sealed_private=None), {})


def test_a_short_secret_is_refused() -> None:
    """Less than 256 bits in the file: the process does not start."""
    with pytest.raises(ValueError, match="32 bytes"):
        derive_key(b"short", "signing keys")
    assert derive_key(b"s" * 32, "signing keys") != derive_key(b"s" * 32, "refresh tokens")
