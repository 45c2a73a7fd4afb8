"""The chain: what binds every row to its place and to all rows before it. Pure: it needs no table and no clock.

The hash of a place is SHA-256 over the hash before it, the place, and the row's id and digest. The MAC of a seal is
over that hash and the time: as a later hash holds all earlier ones, one seal under a key that is there vouches for
every row before it, whatever became of the keys that these were made with.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sigra_audit.entries import moment
from sigra_audit.keys import Keys

SEAL, ANCHOR, CHECKPOINT = "seal", "anchor", "checkpoint"
"""The labels of the MACs."""

GENESIS = bytes(32)
"""The hash before the first place."""


@dataclass(frozen=True, slots=True)
class Link:
    """A place and the hash of everything up to it."""

    position: int
    hash: bytes

    def following(self, entry_id: uuid.UUID, digest: bytes) -> Link:
        """The next place, given to a row."""
        position = self.position + 1
        message = b"%b%b%b%b" % (self.hash, position.to_bytes(8, "big"), entry_id.bytes, digest)
        return Link(position, hashlib.sha256(message).digest())


START = Link(0, GENESIS)


def seal_row(link: Link, entry_id: uuid.UUID, now: datetime, keys: Keys) -> dict[str, Any]:
    """The row that gives a place to an entry."""
    return {**_made(SEAL, link, now, keys), "entry_id": entry_id}


def anchor_row(link: Link, now: datetime, keys: Keys) -> dict[str, Any]:
    """The row that stands for everything up to a place."""
    return _made(ANCHOR, link, now, keys)


def vouches(row: Mapping[Any, Any], label: str, keys: Keys) -> bool | None:
    """Whether a seal or an anchor is as it was written; None when the key is not there that could tell."""
    try:
        message = _signed(link_of(row), moment(row["made_at"]))
    except (AttributeError, OverflowError, TypeError):
        # SQLite takes a value of any type.
        return False
    return keys.verify(label, message, row["key_id"], row["mac"])


def link_of(row: Mapping[Any, Any]) -> Link:
    """The place of a seal or an anchor."""
    return Link(row["position"], row["hash"])


def _made(label: str, link: Link, now: datetime, keys: Keys) -> dict[str, Any]:
    key_id, mac = keys.sign(label, _signed(link, moment(now)))
    return {"position": link.position, "hash": link.hash, "made_at": now, "key_id": key_id, "mac": mac}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the chain was at some time, to be kept where whoever changes the database cannot reach it."""

    link: Link
    made_at: str
    mac: bytes

    @classmethod
    def of(cls, link: Link, made_at: str, keys: Keys) -> Checkpoint:
        """A signed one."""
        return cls(link, made_at, keys.sign(CHECKPOINT, _signed(link, made_at))[1])

    @classmethod
    def parse(cls, text: str, keys: Keys) -> Checkpoint:
        """The checkpoint that a text holds.

        Raises:
            ValueError: It is none, or none of the keys has signed it.
        """
        try:
            said = json.loads(text)
            link = Link(int(said["position"]), bytes.fromhex(said["hash"]))
            found = cls(link, str(said["made_at"]), bytes.fromhex(said["mac"]))
            message = _signed(link, found.made_at)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise ValueError("it is not a checkpoint of `sigra audit checkpoint`") from error
        if len(link.hash) != len(GENESIS) or not keys.verify_by_any(CHECKPOINT, message, found.mac):
            raise ValueError("none of the keys that are set has signed it: add the one that did to SIGRA_AUDIT__KEYS")
        return found

    def text(self) -> str:
        """One line of JSON."""
        place = {"position": self.link.position, "hash": self.link.hash.hex()}
        return json.dumps({**place, "made_at": self.made_at, "mac": self.mac.hex()})


def _signed(link: Link, made_at: str) -> bytes:
    return b"%b%b%b" % (link.position.to_bytes(8, "big"), link.hash, made_at.encode("utf-8", "surrogatepass"))
