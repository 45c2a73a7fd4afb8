"""Limits: no more than so many octets, no longer than so many seconds, nothing held."""

import asyncio

import pytest
from starlette.requests import Request

from sigra.errors import PayloadTooLarge, RequestTimeout
from sigra.http.body import read_mapping
from sigra.http.request_limits import MAX_BODY, SECONDS, RequestLimits


def chunks(*bodies, end=True):
    left = list(bodies)

    async def receive():
        if not bodies:
            await asyncio.Event().wait()
        if not left:
            return {"type": "http.disconnect"}
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left) or not end}

    receive.left = left
    return receive


async def drain(scope, receive, **limits):
    seen = []

    async def app(scope, receive, send):
        seen.append(await Request(scope, receive).body())

    await RequestLimits(app, **limits)(scope, receive, None)
    return seen[0]


def test_the_limits_are_those_of_the_design():
    assert (MAX_BODY, SECONDS) == (65536, 30.0)


async def test_hc43_a_body_of_the_limit_passes(http_scope):
    scope = http_scope(("content-length", str(MAX_BODY)))

    assert await drain(scope, chunks(b"a" * MAX_BODY)) == b"a" * MAX_BODY


async def test_hc43_a_declared_body_above_the_limit_is_refused_unread(http_scope):
    receive = chunks(b"a")

    with pytest.raises(PayloadTooLarge):
        await drain(http_scope(("content-length", str(MAX_BODY + 1))), receive)

    assert receive.left == [b"a"]


@pytest.mark.parametrize("declared", ["9" * 5000, "0" * 5000 + "65537", "99999999999999999999"])
async def test_hc43_a_length_of_many_digits_is_refused(http_scope, declared):
    with pytest.raises(PayloadTooLarge):
        await drain(http_scope(("content-length", declared)), chunks(b"a"))


@pytest.mark.parametrize("declared", ["-1", "x", "", "+5", "1.5", "\xb2", "1"])
async def test_hc43_an_undeclared_or_lying_body_is_counted(http_scope, declared):
    receive = chunks(b"a" * 40000, b"a" * 40000, b"a" * 40000)

    with pytest.raises(PayloadTooLarge):
        await drain(http_scope(("content-length", declared)), receive)

    assert len(receive.left) == 1


async def test_hc43_the_limit_is_exact(http_scope):
    assert await drain(http_scope(), chunks(b"abc", b"de"), max_body=5) == b"abcde"

    with pytest.raises(PayloadTooLarge):
        await drain(http_scope(), chunks(b"abc", b"def"), max_body=5)


async def test_hc43_a_body_that_never_comes_times_out(http_scope):
    with pytest.raises(RequestTimeout):
        await drain(http_scope(), chunks(), seconds=0.01)


async def test_hc43_a_body_that_never_ends_times_out(http_scope):
    async def trickle():
        await asyncio.get_running_loop().run_in_executor(None, int)
        return {"type": "http.request", "body": b"", "more_body": True}

    with pytest.raises(RequestTimeout):
        await drain(http_scope(), trickle, seconds=0.01)


async def test_hc43_the_time_is_for_the_whole_body_not_for_each_part(http_scope):
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 0.05

    async def steady():
        part_arrives = asyncio.Event()
        loop.call_later(0.02, part_arrives.set)
        await part_arrives.wait()
        return {"type": "http.request", "body": b"a", "more_body": True}

    with pytest.raises((RequestTimeout, PayloadTooLarge)) as refused:
        await drain(http_scope(), steady, seconds=0.05, max_body=50)

    assert refused.type is RequestTimeout
    assert loop.time() >= deadline


async def test_hc43_a_refusal_stays_a_refusal_and_reads_no_more(http_scope):
    receive = chunks(b"abc", b"a")

    async def app(scope, receive, send):
        for _ in range(2):
            with pytest.raises(PayloadTooLarge):
                await receive()

    await RequestLimits(app, max_body=2)(http_scope(), receive, None)

    assert receive.left == [b"a"]


async def test_after_the_body_the_connection_may_be_listened_to_without_a_limit(http_scope):
    told = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
    waiting = asyncio.Event()

    async def receive():
        if len(told) == 1:
            asyncio.get_running_loop().call_later(0.03, waiting.set)
            await waiting.wait()
        return told.pop(0)

    async def app(scope, receive, send):
        await receive()
        assert await receive() == {"type": "http.disconnect"}

    await RequestLimits(app, seconds=0.01)(http_scope(), receive, None)


async def test_a_disconnect_passes(http_scope):
    async def receive():
        return {"type": "http.disconnect"}

    async def app(scope, receive, send):
        assert (await receive())["type"] == "http.disconnect"
        assert (await receive())["type"] == "http.disconnect"

    await RequestLimits(app)(http_scope(), receive, None)


async def test_a_websocket_is_not_limited(http_scope):
    scope, receive = {**http_scope(), "type": "websocket"}, chunks()
    seen = []

    async def app(*given):
        seen.append(given)

    await RequestLimits(app)(scope, receive, None)

    assert seen == [(scope, receive, None)]


async def turns_of(count, receive, http_scope):
    """In which turns of the loop so many requests at once begin, and have their body."""
    begun, read, done = [], [], asyncio.Event()
    turn = 0

    async def clock():
        nonlocal turn
        while not done.is_set():
            turn += 1
            await asyncio.sleep(0)

    async def app(scope, receive, send):
        begun.append(turn)
        await receive()
        read.append(turn)

    ticking, limits = asyncio.create_task(clock()), RequestLimits(app)
    await asyncio.gather(*(limits(http_scope(), receive, None) for _ in range(count)))
    done.set()
    await ticking
    return begun, read


async def test_hc44_requests_that_arrive_together_begin_one_a_turn_of_the_loop(http_scope):
    begun, _ = await turns_of(50, lambda: asyncio.sleep(0, {"type": "http.request", "body": b"{}"}), http_scope)

    assert len({*begun}) == len(begun) == 50


async def test_hc44_requests_whose_bodies_end_together_go_on_one_a_turn_of_the_loop(http_scope):
    last = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, last.set)

    async def receive():
        await last.wait()
        return {"type": "http.request", "body": b"{}", "more_body": False}

    _, read = await turns_of(50, receive, http_scope)

    assert len({*read}) == len(read) == 50


async def test_hc50_the_scope_is_copied_and_readers_below_share_one_body(http_scope):
    scope = http_scope(("content-type", "application/json"))

    async def app(scope, receive, send):
        inner = {**scope, "path_params": {}}
        assert await read_mapping(Request(inner, receive)) == {"a": 1}
        assert await read_mapping(Request(scope, receive)) == {"a": 1}

    await RequestLimits(app)(scope, chunks(b'{"a": 1}'), None)

    assert "sigra.body" not in scope


async def test_a_cancelled_reader_is_cancelled_not_timed_out(http_scope):
    task = asyncio.ensure_future(drain(http_scope(), chunks()))
    asyncio.get_running_loop().call_later(0.01, task.cancel)

    with pytest.raises(asyncio.CancelledError):
        await task
