"""Whose word is taken for a client's address."""

from __future__ import annotations

import pytest

from services.auth.origin import Origins

ORIGINS = Origins("secret")


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", None),
        ("::1", None),
        ("", None),
        ("192.0.2.7, 198.51.100.1", None),
        ("' OR 1=1", None),
    ],
)
def test_the_edge_is_believed(told: str, address: str | None) -> None:
    """An IPv6 client counts by its /64; loopback and nonsense count as not known."""
    metadata = [("x-polychat-internal", "secret"), ("x-polychat-client-address", told)]
    assert ORIGINS.address(metadata) == address


@pytest.mark.parametrize("credential", [None, "", "Secret", "secret "])
def test_nobody_else_is(credential: str | None) -> None:
    """Without the internal credential the address is a plain header."""
    shown = [("x-polychat-internal", credential)] if credential is not None else []
    assert ORIGINS.address([*shown, ("x-polychat-client-address", "192.0.2.7")]) is None
