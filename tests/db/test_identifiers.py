import uuid
from datetime import UTC, datetime, timedelta

from sigra.db.identifiers import uuid7

# The example of RFC 9562, appendix A.6: Tuesday, February 22, 2022, 19:22:22 UTC.
MOMENT = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


def test_the_example_of_the_standard():
    value = uuid7(lambda: MOMENT, lambda n: (0xCC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(n, "big"))

    assert value == uuid.UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")


def test_version_and_variant_hold_whatever_the_random_bytes():
    for filler in (b"\x00", b"\xff"):
        value = uuid7(lambda: MOMENT, lambda n, filler=filler: filler * n)

        assert (value.version, value.variant) == (7, uuid.RFC_4122)


def test_later_ones_sort_later():
    early = uuid7(lambda: MOMENT, lambda n: b"\xff" * n)
    late = uuid7(lambda: MOMENT + timedelta(milliseconds=1), lambda n: b"\x00" * n)

    assert early < late
    assert early.hex < late.hex
