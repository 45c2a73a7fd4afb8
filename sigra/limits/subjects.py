"""By whom is counted: a client by its address or its networks, accounts and recipients by canonical address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

NETWORKS = ((64, 1), (56, 4), (48, 16))
"""Bits of an IPv6 network, and how many times the rate holds for all of it together.

A /64 is one network, a /56 what a household gets and a /48 a site (RFC 6177, section 2): who has more of them has not
that many more tries.
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """A subject, and how many times the rate it may use."""

    key: str
    times: int = 1


def clients(address: str) -> Iterator[Counted]:
    """The client itself, for IPv6 by its /64, and the coarser networks that hold it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        parsed = None
    if not isinstance(parsed, IPv6Address):
        yield Counted(f"client {address}")
        return
    for bits, times in NETWORKS:
        yield Counted(f"client {IPv6Network((parsed, bits), strict=False)}", times)
