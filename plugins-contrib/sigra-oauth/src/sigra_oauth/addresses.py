"""Which addresses a provider may have: public ones, so that nobody makes us ask our own network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""The well-known prefix by which IPv6-only networks reach IPv4 (RFC 6052, section 2.1)."""

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out for use (RFC 4291, section 2.4)."""

_RESERVED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890)
        "192.88.99.0/24",  # relays of 6to4, deprecated (RFC 7526)
        "2001::/23",  # IETF protocol assignments, Teredo among them (RFC 2928, RFC 4380)
        "2002::/16",  # 6to4: has an IPv4 address within (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
"""Of the special-purpose registries (RFC 6890), what `ipaddress` calls global in one version of Python or another."""


def is_public(address: Address) -> bool:
    """Whether an address is of the public Internet, also when it is written as one of the other family."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _within(address)
        if inner is not None:
            return is_public(inner)
        if address.scope_id is not None or address not in _GLOBAL_UNICAST:
            return False
    reserved = any(address in network for network in _RESERVED)
    return address.is_global and not address.is_multicast and not reserved


def _within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine (RFC 6761, section 6.3)."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


class Allowed:
    """What may be private.

    Args:
        names: Hosts, addresses and networks, as in `sso.internal`, `10.1.2.3` and `10.0.0.0/8`.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        read = [(name.lower().rstrip("."), network_of(name)) for name in names]
        self._networks = tuple(network for _, network in read if network is not None)
        self._hosts = frozenset(host for host, network in read if network is None)

    def host(self, name: str) -> bool:
        return name.lower().rstrip(".") in self._hosts

    def address(self, address: Address) -> bool:
        plain = (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address
        return any(plain in network for network in self._networks)


def network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network that a text names; None for a host name.

    Raises:
        ValueError: It looks like a network and is none, such as 10.0.0.1/8.
    """
    if "/" in text:
        return ipaddress.ip_network(text)
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None
