"""The keys that sign access tokens: made once, rotated, shown to every verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from chassis.errors import BackendUnavailable
from services.auth.key_rotation import KeyState, SigningKey, rotate
from services.auth.ports import Clock, KeyForge, KeyStore


class SigningKeys:
    """This instance's view of the keys, renewed by `refresh`; the last view stays when the store is away."""

    def __init__(self, store: KeyStore, forge: KeyForge, clock: Clock, period: timedelta) -> None:
        self._store = store
        self._forge = forge
        self._clock = clock
        self._period = period
        self._keys: Sequence[SigningKey] = ()

    async def refresh(self) -> None:
        """Makes or rotates what is due and reads what other instances did. Raises BackendUnavailable."""
        now = self._clock()
        self._keys = await self._store.change(lambda keys: rotate(keys, now, self._period, self._forge.new))

    def current(self) -> SigningKey:
        """The key that signs now. Raises BackendUnavailable before the first `refresh`."""
        for key in self._keys:
            if key.state is KeyState.CURRENT:
                return key
        raise BackendUnavailable("signing key")

    def jwks(self) -> list[Mapping[str, str]]:
        """The public keys: the one that signs, the one that will, and those whose tokens may be alive."""
        return [key.public_jwk for key in self._keys]

    async def published(self) -> list[Mapping[str, str]]:
        """The same for a verifier in this process, which asks for them like any other."""
        return self.jwks()

    def check_secret(self) -> None:
        """Raises ValueError when this process's secret is not the one that the key was sealed with."""
        self._forge.sign(self.current(), {})

    def problem(self) -> str | None:
        """For readiness: why nothing can be signed, or None."""
        try:
            self.current()
        except BackendUnavailable:
            return "no signing key was read from the store yet"
        return None
