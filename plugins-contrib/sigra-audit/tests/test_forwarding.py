"""Rows reach a sink in their order, each at least once, also when the sink was down."""

import asyncio
import json
import socket
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import httpx2
import pytest

from sigra import Event
from sigra.testing import FrozenClock
from sigra_audit import Audit
from sigra_audit.forwarding import Forwarder, Undelivered
from sigra_audit.sinks import HTTPSink, Syslog, message


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    name: ClassVar[str] = "noted"


@dataclass
class Deaf:
    """Takes nothing while it is down."""

    name: str = "deaf"
    down: bool = False
    got: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, records):
        if self.down:
            raise Undelivered("down")
        self.got += records


async def filled(here, count):
    await here.emit(*(Noted(user_id=uuid.UUID(int=n), metadata={"n": n}) for n in range(count)))
    await here.seal()


def forwarder(here, sink):
    return Forwarder(here.auth, here.audit.tables, sink)


async def test_every_row_arrives_once_and_in_order(room, database):
    sink = Deaf()
    async with room(database) as here:
        await filled(here, 250)
        sent = await forwarder(here, sink).forward()

        assert sent == 250
        assert [one["position"] for one in sink.got] == list(range(1, 251))
        assert [one["metadata"]["n"] for one in sink.got] == list(range(250))
        assert await forwarder(here, sink).forward() == 0


async def test_what_a_sink_missed_arrives_when_it_is_back(room, database):
    sink, clock = Deaf(down=True), FrozenClock()
    async with room(database, clock=clock) as here:
        await filled(here, 3)
        assert await forwarder(here, sink).forward() == 0
        await filled(here, 2)
        sink.down = False
        assert await forwarder(here, sink).forward() == 0  # not at once: a sink that is down is left in peace
        clock.tick(timedelta(seconds=16))

        assert await forwarder(here, sink).forward() == 5
        assert [one["position"] for one in sink.got] == [1, 2, 3, 4, 5]


async def test_two_processes_do_not_send_the_same(room, database):
    sink = Deaf()
    async with room(database) as here:
        await filled(here, 5)
        await asyncio.gather(*(forwarder(here, sink).forward() for _ in range(5)))

        assert [one["position"] for one in sink.got] == [1, 2, 3, 4, 5]


async def test_a_process_that_died_over_it_is_followed_by_another(room, database):
    sink, clock = Deaf(), FrozenClock()
    async with room(database, clock=clock) as here:
        await filled(here, 2)
        await here.auth.db.transaction(forwarder(here, sink)._take_turn)
        assert await forwarder(here, sink).forward() == 0
        clock.tick(timedelta(seconds=31))

        assert await forwarder(here, sink).forward() == 2


@pytest.fixture
async def collector(tmp_path):
    """Where datagrams arrive: by kind, a URL and what has come."""
    opened: list[socket.socket] = []

    def collect(kind: str) -> tuple[str, socket.socket]:
        family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
        taker = socket.socket(family, socket.SOCK_DGRAM)
        opened.append(taker)
        taker.settimeout(5)
        taker.bind(str(tmp_path / "log") if kind == "unix" else ("127.0.0.1", 0))
        return (f"unix:{tmp_path / 'log'}" if kind == "unix" else f"udp://127.0.0.1:{taker.getsockname()[1]}"), taker

    yield collect
    for one in opened:
        one.close()


@pytest.mark.parametrize("kind", ["udp", "unix"])
async def test_a_syslog_server_gets_a_datagram_a_row(room, database, collector, kind):
    url, taker = collector(kind)
    async with room(database, syslog=url) as here:
        await here.emit(Noted(outcome="failure"), Noted(metadata={"a": "b\n<1>c"}))
        await here.audit._left_over()
        first, second = taker.recv(65536), taker.recv(65536)

        assert first.startswith(b"<84>1 2")
        assert b" sigra - noted - {" in first
        assert second.startswith(b"<86>1 2")
        assert b"\n" not in second
        assert json.loads(second.partition(b" - noted - ")[2])["metadata"] == {"a": "b\n<1>c"}


async def test_a_syslog_server_gets_rows_by_octet_counting_over_tcp(room, database):
    got = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.read())
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, room(database, syslog=f"tcp://127.0.0.1:{port}") as here:
        await filled(here, 3)
        await here.audit._left_over()

        positions = []
        while got:
            length, _, rest = bytes(got).partition(b" ")
            positions.append(json.loads(rest[: int(length)].partition(b" - noted - ")[2])["position"])
            got = bytearray(rest[int(length) :])
        assert positions == [1, 2, 3]


async def test_a_syslog_server_that_is_away_gets_them_later(room, database):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    async with room(database, syslog=f"tcp://127.0.0.1:{port}") as here:
        await filled(here, 3)
        await here.audit._left_over()

        [row] = [row for row in await here.rows("sigra_audit_cursors") if row["name"] == "syslog"]
        assert row["position"] == 0


def http_sink(answers):
    seen = []

    def answer(request):
        seen.append(request)
        return answers.pop(0)

    return HTTPSink("https://siem.example.com/in", "s3cret", httpx2.MockTransport(answer)), seen


async def test_an_http_sink_gets_json_lines_until_it_says_yes(room, database):
    sink, seen = http_sink(
        [httpx2.Response(503), httpx2.Response(302, headers={"location": "/"}), httpx2.Response(204)]
    )
    clock = FrozenClock()
    async with room(database, clock=clock) as here:
        await filled(here, 2)
        sent = []
        for _ in range(3):
            sent.append(await forwarder(here, sink).forward())
            clock.tick(timedelta(seconds=16))

        assert sent == [0, 0, 2]
        assert [json.loads(line)["position"] for line in seen[-1].content.splitlines()] == [1, 2]
        assert seen[-1].headers["authorization"] == "Bearer s3cret"
        assert "s3cret" not in repr(sink)


async def test_an_http_sink_that_is_away_is_undelivered():
    def fail(request):
        raise httpx2.ConnectError("no")

    with pytest.raises(Undelivered, match="ConnectError"):
        await HTTPSink("https://siem.example.com/", None, httpx2.MockTransport(fail)).send([{"a": 1}])


async def test_rows_are_sealed_and_sent_by_the_process_that_wrote_them(room, database, collector):
    url, taker = collector("udp")
    async with room(database, syslog=url, seal_after=timedelta(milliseconds=1)) as here:
        await here.emit(Noted())
        got = await asyncio.to_thread(taker.recv, 65536)

        assert b'"position":1' in got


async def test_a_sink_that_is_slow_keeps_no_row_waiting_for_its_place(room, database):
    asked = asyncio.Event()

    class Slow(Deaf):
        async def send(self, records):
            asked.set()
            await asyncio.Event().wait()

    async with room(database, seal_after=timedelta(milliseconds=1)) as here:
        here.audit.forwarders.append(forwarder(here, Slow()))
        await here.emit(Noted())
        await asyncio.wait_for(asked.wait(), 5)
        await here.emit(Noted())
        async with asyncio.timeout(5):
            while (await here.verify()).count < 2:  # noqa: ASYNC110  (the database tells nobody)
                await asyncio.sleep(0)

        assert (await here.verify()).fresh_count == 0


async def test_a_process_that_ends_seals_what_it_wrote(room, database):
    async with room(database) as here:
        await here.emit(Noted())
    async with room(database) as here:
        assert (await here.verify()).count == 1


async def test_what_a_killed_process_left_is_sealed_by_the_job(room, database):
    async with room(database) as here:
        here.audit._sealing._open = False
        await here.emit(Noted())
        await here.auth.worker.work()

        assert (await here.verify()).count == 1


@pytest.mark.parametrize(
    "wrong", ["", "udp:", "http://a", "udp://", "unix://a/b", "tcp://a/b", "tcp://u:p@h", "udp://h:70000", "syslog://a"]
)
def test_a_syslog_url_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        Audit(syslog=wrong)


@pytest.mark.parametrize("wrong", ["http://example.com", "https://u:p@h/", "ftp://a", "https://", "", "file:///etc"])
def test_a_sink_that_is_not_https_is_refused(wrong):
    with pytest.raises(ValueError, match="https"):
        Audit(sink=wrong)


def test_a_sink_on_this_machine_may_be_http():
    assert Audit(sink="http://localhost:8080/in", sink_token="t").settings.sink


async def test_a_sink_is_what_the_options_say(room, database):
    async with room(database, sink="http://localhost:8080/in", sink_token="t0ken") as here:
        [one] = here.audit.forwarders

        assert (one.sink.url, one.sink.token) == ("http://localhost:8080/in", "t0ken")
        assert "t0ken" not in repr(here.audit.settings)


def test_a_key_that_is_too_short_is_refused_without_being_shown():
    with pytest.raises(ValueError, match="32 characters") as refused:
        Audit(keys=["short-secret"])
    assert "short-secret" not in str(refused.value)


def test_names_that_are_no_words_are_made_ones():
    record = {"name": "a b\n" * 20, "outcome": "success", "occurred_at": "2026-01-01T00:00:00.000000Z"}

    assert message(record, "ho st").startswith(b"<86>1 2026-01-01T00:00:00.000000Z ho?st sigra - a?b?a?b?")
    assert Syslog.of("udp://h").where == ("h", 514)
