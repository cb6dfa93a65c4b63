"""Access tokens that must be refused (RFC 8725, RFC 9068)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from chassis.errors import TokenInvalid
from chassis.tokens import LEEWAY_SECONDS, TokenVerifier
from tests.support.token_forge import (
    CLAIMS,
    HEADER,
    KEY,
    NOW,
    ORDER,
    OTHER,
    RSA,
    Clock,
    Jwks,
    es256,
    jwk,
    signed_by_key,
    token,
)


@pytest.fixture
def verifier() -> TokenVerifier:
    return TokenVerifier(Jwks(jwk(KEY, "k1"), jwk(OTHER, "k2")), clock=Clock())


def without(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    """All members but one."""
    return {key: value for key, value in members.items() if key != name}


def hmac_with(secret: bytes) -> Callable[[bytes], bytes]:
    """HS256 with a secret."""
    return lambda signed: hmac.digest(secret, signed, hashlib.sha256)


def rs256(signed: bytes) -> bytes:
    """A signature of another kind of key."""
    return RSA.sign(signed, padding.PKCS1v15(), hashes.SHA256())


PUBLIC_PEM = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
PUBLIC_POINT = KEY.public_key().public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
)


def nothing(_signed: bytes) -> bytes:
    """No signature at all."""
    return b""


def raw_signature(r: int, s: int) -> Callable[[bytes], bytes]:
    """These two numbers, whatever is signed."""
    return lambda _signed: r.to_bytes(32, "big") + s.to_bytes(32, "big")


def other_s(signed: bytes) -> bytes:
    """s + the order of the group: the same number, out of range."""
    raw = signed_by_key(signed)
    s = int.from_bytes(raw[32:], "big")
    return raw[:32] + ((s + ORDER) % 2**256).to_bytes(32, "big")


def der(signed: bytes) -> bytes:
    """The same signature in the encoding of X.509."""
    return KEY.sign(signed, ec.ECDSA(hashes.SHA256()))


SIGNATURES: dict[str, str] = {
    **{f"alg {alg}": token({**HEADER, "alg": alg}, sign=nothing) for alg in ("none", "None", "NONE", "nOnE")},
    **{
        f"alg {alg} with a signature": token({**HEADER, "alg": alg}) for alg in ("none", "", "es256", "ES384")
    },
    "alg is no text": token({**HEADER, "alg": ["ES256"]}),
    "alg missing": token(without(HEADER, "alg")),
    "HS256 with the public key as PEM": token({**HEADER, "alg": "HS256"}, sign=hmac_with(PUBLIC_PEM)),
    "HS256 with the public point": token({**HEADER, "alg": "HS256"}, sign=hmac_with(PUBLIC_POINT)),
    "HS256 with the x of the JWK": token(
        {**HEADER, "alg": "HS256"}, sign=hmac_with(jwk(KEY, "")["x"].encode())
    ),
    "HS256 with nothing": token({**HEADER, "alg": "HS256"}, sign=hmac_with(b"")),
    "RS256": token({**HEADER, "alg": "RS256"}, sign=rs256),
    "an RSA signature called ES256": token(sign=rs256),
    "EdDSA": token({**HEADER, "alg": "EdDSA"}),
    "signed by nobody": token(sign=nothing),
    "signed by another of our keys": token(sign=lambda signed: es256(OTHER, signed)),
    "r and s zero": token(sign=raw_signature(0, 0)),
    "r and s one": token(sign=raw_signature(1, 1)),
    "r and s the order": token(sign=raw_signature(ORDER, ORDER)),
    "s out of range": token(sign=other_s),
    "signature in DER": token(sign=der),
    "signature cut": token(sign=lambda signed: signed_by_key(signed)[:-1]),
    "signature with a byte more": token(sign=lambda signed: signed_by_key(signed) + b"\0"),
}

HEADERS: dict[str, str] = {
    "unknown crit": token({**HEADER, "crit": ["x"], "x": 1}),
    "empty crit": token({**HEADER, "crit": []}),
    "b64 false": token({**HEADER, "b64": False, "crit": ["b64"]}),
    "own jwk": token({**HEADER, "jwk": jwk(OTHER, "k1")}, sign=lambda signed: es256(OTHER, signed)),
    "jku": token({**HEADER, "jku": "http://127.0.0.1:1/jwks.json"}),
    "x5u": token({**HEADER, "x5u": "http://127.0.0.1:1/cert"}),
    "x5c": token({**HEADER, "x5c": ["MIIB"]}),
    "cty": token({**HEADER, "cty": "JWT"}),
    "zip": token({**HEADER, "zip": "DEF"}),
    "kid missing": token(without(HEADER, "kid")),
    "kid a path": token({**HEADER, "kid": "../../dev/null"}),
    "kid SQL": token({**HEADER, "kid": "k1' OR '1'='1"}),
    "kid unknown": token({**HEADER, "kid": "k9"}),
    "kid of 1 KiB": token({**HEADER, "kid": "k" * 1024}),
    "kid empty": token({**HEADER, "kid": ""}),
    "kid a number": token({**HEADER, "kid": 1}),
    "kid a list": token({**HEADER, "kid": ["k1"]}),
    "kid null": token({**HEADER, "kid": None}),
    "typ missing": token(without(HEADER, "typ")),
    **{f"typ {typ}": token({**HEADER, "typ": typ}) for typ in ("JWT", "refresh+jwt", "id+jwt", "AT+JWT", "")},
    "header a list": token("[]"),
    "header a text": token('"at+jwt"'),
    "header no JSON": token("{"),
    "header twice alg": token('{"alg":"none","alg":"ES256","kid":"k1","typ":"at+jwt"}'),
    "header twice kid": token('{"alg":"ES256","kid":"k2","kid":"k1","typ":"at+jwt"}'),
    "header deep and never closed": token('{"alg":' + "[" * 1250),
    "header very deep": token('{"alg":' + "[" * 600 + "]" * 600 + ',"kid":"k1","typ":"at+jwt"}'),
}

BAD_CLAIMS: dict[str, str] = {
    **{f"{name} missing": token(claims=without(CLAIMS, name)) for name in CLAIMS},
    **{f"{name} null": token(claims={**CLAIMS, name: None}) for name in CLAIMS},
    "foreign issuer": token(claims={**CLAIMS, "iss": "https://login.example.org"}),
    "foreign audience": token(claims={**CLAIMS, "aud": "other"}),
    "audience a list": token(claims={**CLAIMS, "aud": ["polychat", "other"]}),
    "issuer in another case": token(claims={**CLAIMS, "iss": "Polychat"}),
    **{
        f"sub {value!r}": token(claims={**CLAIMS, "sub": value})
        for value in (
            7,
            "",
            "0",
            "-7",
            "07",
            "+7",
            " 7",
            "7 ",
            "7\n",
            "seven",
            "\u0667",
            "9" * 20,
            7.0,
            ["7"],
            True,
        )
    },
    **{f"sid {value!r}": token(claims={**CLAIMS, "sid": value}) for value in (8, "", "0", "x")},
    "exp a text": token(claims={**CLAIMS, "exp": str(NOW + 900)}),
    "exp NaN": token(claims=json.dumps(CLAIMS).replace(str(NOW + 900), "NaN")),
    "exp Infinity": token(claims=json.dumps(CLAIMS).replace(str(NOW + 900), "Infinity")),
    "exp 1e300": token(claims=json.dumps(CLAIMS).replace(str(NOW + 900), "1e300")),
    "exp a huge number": token(claims={**CLAIMS, "exp": 10**30}),
    "exp true": token(claims={**CLAIMS, "exp": True}),
    "exp a list": token(claims={**CLAIMS, "exp": [NOW + 900]}),
    "exp negative": token(claims={**CLAIMS, "exp": -1}),
    "nbf in the future": token(claims={**CLAIMS, "nbf": NOW + LEEWAY_SECONDS + 1}),
    "nbf a text": token(claims={**CLAIMS, "nbf": str(NOW)}),
    "ver 2": token(claims={**CLAIMS, "ver": 2}),
    "claims a list": token(claims="[]"),
    "claims no JSON": token(claims="{"),
    "claims very deep": token(claims=json.dumps(CLAIMS)[:-1] + ',"x":' + "[" * 500 + "]" * 500 + "}"),
    "sub twice": token(claims='{"sub":"1",' + json.dumps(CLAIMS)[1:]),
}

GOOD = token()
SHAPES: dict[str, str] = {
    "empty": "",
    "one part": "x",
    "two parts": GOOD.rpartition(".")[0],
    "four parts": GOOD + ".x",
    "five parts, as a JWE": ".".join([*GOOD.split("."), "x", "x"]),
    "a dot more": GOOD + ".",
    "a line more": GOOD + "\n",
    "a blank before": " " + GOOD,
    "a NUL more": GOOD + "\0",
    "padding": GOOD + "==",
    "standard alphabet": GOOD.replace("-", "+").replace("_", "/") + "+",
    "not ASCII": GOOD[:-1] + "é",
    "JSON serialization": json.dumps({"payload": GOOD}),
    "9 KiB": token(claims={**CLAIMS, "x": "y" * 9216}),
    "9 KiB of a signature": GOOD + "A" * 9216,
}


@pytest.mark.parametrize("name", [*SIGNATURES, *HEADERS, *BAD_CLAIMS, *SHAPES])
async def test_a_token_that_is_refused(verifier: TokenVerifier, name: str) -> None:
    """Each of these is TOKEN_INVALID, twice, and says nothing about why."""
    bad = {**SIGNATURES, **HEADERS, **BAD_CLAIMS, **SHAPES}[name]
    for _ in range(2):
        with pytest.raises(TokenInvalid) as caught:
            await verifier.verify(bad)
        assert caught.value.message == TokenInvalid.text


async def test_every_other_last_letter_is_refused(verifier: TokenVerifier) -> None:
    """The unused bits of the last letter must be zero: one token has one spelling (RFC 4648 §3.5)."""
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        if letter != GOOD[-1]:
            with pytest.raises(TokenInvalid):
                await verifier.verify(GOOD[:-1] + letter)
