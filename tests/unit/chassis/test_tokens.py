"""What a verifier accepts, and how it treats its keys."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.errors import BackendUnavailable, TokenExpired, TokenInvalid
from chassis.tokens import LEEWAY_SECONDS, REFETCH_SECONDS, TokenVerifier
from tests.support.token_forge import (
    CLAIMS,
    HEADER,
    KEY,
    NOW,
    OTHER,
    Clock,
    Jwks,
    es256,
    jwk,
    token,
)

UNKNOWN_KID = token({**HEADER, "kid": "k9"})


@pytest.fixture
def jwks() -> Jwks:
    return Jwks(jwk(KEY, "k1"), jwk(OTHER, "k2"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(jwks: Jwks, clock: Clock) -> TokenVerifier:
    return TokenVerifier(jwks, clock=clock)


async def test_a_token_of_auth_is_accepted(verifier: TokenVerifier) -> None:
    """Who it is, which session, and until when."""
    good = token()
    caller = await verifier.verify(good)
    assert caller.token == good
    assert (caller.user_id, caller.session_id, caller.expire_time) == (7, 8, NOW + 900)


async def test_the_largest_id_is_accepted(verifier: TokenVerifier) -> None:
    """63 bits."""
    caller = await verifier.verify(token(claims={**CLAIMS, "sub": str(2**63 - 1)}))
    assert caller.user_id == 2**63 - 1


async def test_an_expired_token(verifier: TokenVerifier, clock: Clock) -> None:
    """TOKEN_EXPIRED from 30 s after its time on, also when it was accepted before."""
    good = token()
    clock.now = NOW + 900 + LEEWAY_SECONDS - 1
    assert await verifier.verify(good)
    clock.now += 1
    for _ in range(2):
        with pytest.raises(TokenExpired):
            await verifier.verify(good)


async def test_the_clocks_may_differ_a_little(verifier: TokenVerifier) -> None:
    """A token from 30 s in the future is accepted."""
    assert await verifier.verify(token(claims={**CLAIMS, "nbf": NOW + LEEWAY_SECONDS}))


async def test_no_claim_forms_an_address(verifier: TokenVerifier, jwks: Jwks) -> None:
    """Whatever a token says, keys are asked for from auth only, once."""
    for bad in (
        token({**HEADER, "jku": "http://127.0.0.1:1/jwks.json"}),
        token({**HEADER, "x5u": "http://127.0.0.1:1/cert"}),
        token(claims={**CLAIMS, "iss": "http://127.0.0.1:1"}),
        UNKNOWN_KID,
    ):
        with pytest.raises(TokenInvalid):
            await verifier.verify(bad)
    assert jwks.asked == 1


async def test_a_storm_of_unknown_kids_asks_once(verifier: TokenVerifier, jwks: Jwks, clock: Clock) -> None:
    """At most one request in 30 s, and users with good tokens notice nothing."""
    await verifier.verify(token())
    jwks.away = True
    clock.now += REFETCH_SECONDS
    for number in range(1000):
        with pytest.raises(TokenInvalid):
            await verifier.verify(token({**HEADER, "kid": f"storm-{number}"}, sign=nothing_64))
    assert jwks.asked == 2
    assert await verifier.verify(token())


def nothing_64(_signed: bytes) -> bytes:
    """A signature of the right length."""
    return b"\1" * 64


async def test_a_new_key_is_found(verifier: TokenVerifier, jwks: Jwks, clock: Clock) -> None:
    """A kid that is not known yet is asked for, when the last request was 30 s ago."""
    await verifier.verify(token())
    fresh = ec.generate_private_key(ec.SECP256R1())
    jwks.keys.append(jwk(fresh, "k3"))
    rotated = token({**HEADER, "kid": "k3"}, sign=lambda signed: es256(fresh, signed))
    with pytest.raises(TokenInvalid):
        await verifier.verify(rotated)
    clock.now += REFETCH_SECONDS
    assert await verifier.verify(rotated)


async def test_a_retired_key_is_forgotten_with_the_next_answer(
    verifier: TokenVerifier, jwks: Jwks, clock: Clock
) -> None:
    """A key that auth does not show any more signs for nobody after the next request."""
    await verifier.verify(token())
    del jwks.keys[0]
    clock.now += REFETCH_SECONDS
    with pytest.raises(TokenInvalid):
        await verifier.verify(UNKNOWN_KID)
    with pytest.raises(TokenInvalid):
        await verifier.verify(token(claims={**CLAIMS, "jti": "another"}))


async def test_auth_away_from_the_start(verifier: TokenVerifier, jwks: Jwks) -> None:
    """Without any key it is UNAVAILABLE, not the user's fault; as soon as auth answers it works."""
    jwks.away = True
    with pytest.raises(BackendUnavailable):
        await verifier.verify(token())
    jwks.away = False
    assert await verifier.verify(token())


async def test_ready_is_who_has_a_key(verifier: TokenVerifier, jwks: Jwks) -> None:
    """A process that could check nobody is not ready; once it has a key, auth may be away."""
    jwks.away = True
    assert await verifier.problem() == "auth has not given its signing keys yet"
    jwks.away = False
    assert await verifier.problem() is None
    jwks.away = True
    assert await verifier.problem() is None


async def test_an_empty_key_set_does_not_wipe_the_good_one(
    verifier: TokenVerifier, jwks: Jwks, clock: Clock
) -> None:
    """The last good keys stay whatever auth answers."""
    await verifier.verify(token())
    jwks.keys = []
    clock.now += REFETCH_SECONDS
    with pytest.raises(TokenInvalid):
        await verifier.verify(UNKNOWN_KID)
    assert await verifier.verify(token(claims={**CLAIMS, "jti": "another"}))


async def test_another_issuer_with_the_same_kid(clock: Clock) -> None:
    """Two issuers may both call a key k1; each verifier knows its own."""
    ours = TokenVerifier(Jwks(jwk(KEY, "k1")), clock=clock)
    theirs = TokenVerifier(Jwks(jwk(OTHER, "k1")), issuer="theirs", clock=clock)
    assert await ours.verify(token())
    foreign = token(claims={**CLAIMS, "iss": "theirs"}, sign=lambda signed: es256(OTHER, signed))
    assert await theirs.verify(foreign)
    for one, bad in ((ours, foreign), (theirs, token())):
        with pytest.raises(TokenInvalid):
            await one.verify(bad)


async def test_a_token_is_verified_once(verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time it comes out of the cache; one bit changed and it does not."""
    good = token()
    await verifier.verify(good)
    real = jwt.decode
    calls: list[str] = []

    def counted(text: str, *arguments: Any, **options: Any) -> Any:
        calls.append(text)
        return real(text, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    assert (await verifier.verify(good)).user_id == 7
    assert verifier.verify_cached(good) is not None
    assert calls == []
    assert verifier.verify_cached(token()) is None
