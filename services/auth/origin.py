"""The network address a public call comes from, for limits and the audit log; never an identity."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable

from chassis.caller import CLIENT_ADDRESS, INTERNAL_CREDENTIAL

_IPV6_NETWORK_BITS = 64


class Origins:
    """Reads the address out of a call's metadata."""

    def __init__(self, credential: str) -> None:
        self._credential = credential.encode()

    def address(self, metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
        """The IPv4 address or the IPv6 /64 that the edge vouches for; None when nobody does.

        None too for a loopback address: it is a proxy that does not tell, or the machine itself, and
        a limit for it would be one limit for everybody.
        """
        values = dict(metadata)
        shown = str(values.get(INTERNAL_CREDENTIAL, "")).encode()
        if not hmac.compare_digest(shown, self._credential):
            return None
        try:
            address = ipaddress.ip_address(str(values.get(CLIENT_ADDRESS, "")))
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if address.is_loopback:
            return None
        if address.version == 4:
            return str(address)
        return str(ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False))
