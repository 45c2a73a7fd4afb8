"""The client's address and scheme, believed from forwarding headers only as far as the operator said to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from sigra.errors import ConfigurationError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
"""The address of a peer that has none, as on a Unix socket (RFC 7239, 6.2)."""

SUBNET = 64
"""Bits of an IPv6 address that one subscriber cannot choose (RFC 6177, section 2)."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_WITH_PORT = re.compile(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?", re.ASCII)
_SECURE = {"http": False, "ws": False, "https": True, "wss": True}


class TrustedProxies:
    """The proxies in front of the application.

    Args:
        networks: Addresses or networks; empty when there is no proxy.

    Raises:
        ConfigurationError: One is not a network, or is everybody.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self.networks = tuple(_network(text) for text in networks)

    def client_address(self, scope: Scope) -> str:
        """The first address from the right that is no trusted proxy, beginning at the peer.

        What stands left of it, or of an entry that is no address, may be anybody's word. `UNKNOWN` without a peer.
        """
        address = _peer(scope)
        if address is None:
            return UNKNOWN
        for entry in reversed(_entries(scope, "x-forwarded-for")):
            further = _parse(entry) if self._trusts(address) else None
            if further is None:
                break
            address = further
        return str(address)

    def scheme(self, scope: Scope) -> str:
        """`http` or `https` (`ws` or `wss`), as the nearest trusted proxy was asked."""
        websocket = scope["type"] == "websocket"
        scheme: str = scope.get("scheme") or ("ws" if websocket else "http")
        entries = _entries(scope, "x-forwarded-proto")
        said = entries[-1].lower() if entries and self._trusts(_peer(scope)) else scheme
        secure = _SECURE.get(said, _SECURE.get(scheme, False))
        return ("ws" if websocket else "http") + ("s" if secure else "")

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.networks)


def subnet(address: str) -> str:
    """What to count a client by: an IPv6 client by its /64, others as they are."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, SUBNET), strict=False))
    return address if parsed is None else str(parsed)


def _network(text: str) -> Network:
    try:
        network = _fold_network(ip_network(text.strip()))
    except ValueError:
        network = None
    if network is None or network.prefixlen == 0:
        reason = "is everybody" if network or text.strip() == "*" else "is neither an address nor a network"
        raise ConfigurationError(
            f"SIGRA_TRUSTED_PROXIES: {text!r} {reason}; name the proxies themselves, as in 10.0.0.7 or 10.0.0.0/24."
        )
    return network


def _fold_network(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _peer(scope: Scope) -> Address | None:
    peer = scope.get("client")
    return _parse(str(peer[0])) if peer else None


def _entries(scope: Scope, name: str) -> list[str]:
    """A list header's members, several headers joined in order (RFC 9110, 5.3)."""
    lines = Headers(scope=scope).getlist(name)
    return [entry.strip(" \t") for entry in ",".join(lines).split(",")] if lines else []


def _parse(text: str) -> Address | None:
    """An address, without port and zone, an IPv4 address in IPv6 clothes as itself (RFC 4291, 2.5.5.2)."""
    found = _WITH_PORT.fullmatch(text)
    if found:
        text = found["six"] or found["four"] or ""
    try:
        # The zone is a name of the sender's choice (RFC 4007, 11): kept, it would be a new client each time.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
