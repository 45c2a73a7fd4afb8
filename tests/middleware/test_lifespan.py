"""Sigra starts and ends with the application, whether or not it knows a life span."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from sigra import ConfigurationError, Event, Sigra, hookimpl
from sigra.testing import Client, cheap_settings, make_user
from tests.apps import running


class Resource:
    name, api = "resource", 1

    def __init__(self) -> None:
        self.log: list[str] = []

    @hookimpl
    def register_resources(self) -> list[object]:
        return [self.held("first"), self.held("second")]

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[None]:
        self.log.append(f"open {name}")
        yield
        self.log.append(f"close {name}")


async def live(app: object, seen: list[str] | None = None) -> list[str]:
    """Run one whole life span, as a server does; what it is told. Raises what breaks it off."""
    seen = [] if seen is None else seen
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    to_app.put_nowait({"type": "lifespan.startup"})
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, to_app.get, from_app.put))  # type: ignore[operator]
    task.add_done_callback(lambda _: from_app.put_nowait({"type": "broken off"}))
    seen.append((await from_app.get())["type"])
    to_app.put_nowait({"type": "lifespan.shutdown"})
    if seen == ["lifespan.startup.complete"]:
        seen.append((await from_app.get())["type"])
    await task
    return seen


async def raises_on_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")


async def returns_on_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    return None


@pytest.mark.parametrize("app", [Starlette(), raises_on_lifespan, returns_on_lifespan])
async def test_resources_open_at_start_and_close_in_reverse(app: object) -> None:
    plugin = Resource()
    auth = Sigra(cheap_settings(), [plugin])

    seen = await live(auth.wrap(app))  # type: ignore[arg-type]

    assert seen == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert plugin.log == ["open first", "open second", "close second", "close first"]


async def test_an_application_that_fails_to_start_is_not_served_and_raises_as_it_does_alone() -> None:
    @asynccontextmanager
    async def broken(app: Starlette) -> AsyncIterator[None]:
        raise RuntimeError("no start")
        yield

    seen: list[str] = []
    auth = Sigra(cheap_settings(), [])
    with pytest.raises(RuntimeError, match="no start"):
        await live(auth.wrap(Starlette(lifespan=broken)), seen)
    await auth.aclose()

    assert seen == ["lifespan.startup.failed"]


async def test_without_a_life_span_the_first_request_starts_it() -> None:
    plugin = Resource()
    auth = Sigra(cheap_settings(), [plugin])
    async with Client(auth.wrap(Starlette()), auth) as client:
        await asyncio.gather(*(client.get("/") for _ in range(10)))
    await auth.aclose()

    assert plugin.log == ["open first", "open second", "close second", "close first"]


@pytest.mark.parametrize("scope", [{"type": "tomorrow"}, {"type": "tomorrow", "path": "/auth/login"}])
async def test_unknown_scope_types_pass_through_untouched(scope: Scope) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    auth = Sigra(cheap_settings(), [])
    await auth.wrap(app)(scope, None, None)  # type: ignore[arg-type]
    await auth.aclose()

    assert seen == [scope]


async def test_what_was_ended_can_be_started_again() -> None:
    plugin = Resource()
    auth = Sigra(cheap_settings(), [plugin])
    for _ in range(2):
        await live(auth.wrap(Starlette()))

    assert plugin.log == ["open first", "open second", "close second", "close first"] * 2


class Store:
    """A resource that cannot be opened."""

    name, api = "store", 1

    def __init__(self, error: Exception) -> None:
        self.error = error

    @hookimpl
    def register_resources(self) -> list[object]:
        return [self.opened()]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        raise self.error
        yield


@pytest.mark.parametrize("app", [Starlette(), raises_on_lifespan, returns_on_lifespan])
@pytest.mark.parametrize("error", [OSError("the store is down"), ConfigurationError("the store is down: start it.")])
async def test_hc49_a_start_that_fails_is_told_to_the_server(error: Exception, app: object) -> None:
    auth = Sigra(cheap_settings(), [Store(error)])
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    to_app.put_nowait({"type": "lifespan.startup"})
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(5):
        await auth.wrap(app)({"type": "lifespan", "asgi": {}, "state": {}}, to_app.get, send)  # type: ignore[arg-type]
    await auth.aclose()

    assert len(sent) == 1
    [told] = sent
    assert told["type"] == "lifespan.startup.failed"
    assert told["message"] in ("A resource could not be opened (OSError).", "the store is down: start it.")


async def frozen_while_serving(**options: object) -> list[bool]:
    """Whether anything is out of the collector's sight: before, while it serves, afterwards."""
    gc.unfreeze()  # what the suite itself keeps there (conftest.py)
    seen = [gc.get_freeze_count() > 0]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        seen.append(gc.get_freeze_count() > 0)
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    await live(Sigra(cheap_settings(**options)).wrap(app))
    return [*seen, gc.get_freeze_count() > 0]


async def test_what_start_up_made_is_left_out_of_collections_until_shutdown() -> None:
    assert await frozen_while_serving() == [False, True, False]


@pytest.fixture
def threshold() -> Iterator[tuple[int, int, int]]:
    """Python's own."""
    ours, pythons = gc.get_threshold(), (700, 10, 10)
    gc.set_threshold(*pythons)
    yield pythons
    gc.set_threshold(*ours)


async def test_young_garbage_is_looked_for_less_often_until_shutdown(threshold: tuple[int, int, int]) -> None:
    seen = list[tuple[int, int, int]]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        seen.append(gc.get_threshold())
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    await live(Sigra(cheap_settings()).wrap(app))
    await live(Sigra(cheap_settings(gc_freeze=False)).wrap(app))

    assert seen == [(10_000, 10, 10), threshold]
    assert gc.get_threshold() == threshold


async def breaks_off(receive: Receive) -> None:
    await receive()
    raise RuntimeError("while it was served")


async def is_cut_off(receive: Receive) -> None:
    task = asyncio.current_task()
    assert task
    task.cancel()
    await asyncio.Event().wait()


@pytest.mark.parametrize(("end", "error"), [(breaks_off, RuntimeError), (is_cut_off, asyncio.CancelledError)])
async def test_the_collector_is_as_before_after_a_life_span_without_an_end(
    threshold: tuple[int, int, int], end: Callable[[Receive], Awaitable[None]], error: type[BaseException]
) -> None:
    seen = list[bool]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        seen.append(gc.get_freeze_count() > 0)
        await end(receive)

    auth = Sigra(cheap_settings())
    async with asyncio.timeout(5):
        with pytest.raises(error):
            await live(auth.wrap(app))
    await auth.aclose()

    assert [*seen, gc.get_freeze_count() > 0] == [True, False]
    assert gc.get_threshold() == threshold


async def test_the_collector_is_as_before_after_two_life_spans_at_once(threshold: tuple[int, int, int]) -> None:
    both = asyncio.Barrier(2)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await both.wait()
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    wrapped = Sigra(cheap_settings()).wrap(app)
    await asyncio.gather(live(wrapped), live(wrapped))

    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, threshold)


async def test_the_collector_is_left_alone_when_told_so() -> None:
    assert await frozen_while_serving(gc_freeze=False) == [False, False, False]


class Slow:
    """Is told of what happened, and takes its time."""

    name, api = "slow", 1

    def __init__(self) -> None:
        self.told, self.done = asyncio.Event(), asyncio.Event()

    @hookimpl
    async def handle_event(self, event: Event) -> None:
        self.told.set()
        await self.done.wait()


async def test_hc45_what_comes_during_an_end_keeps_nobody_from_starting_again(database: str) -> None:
    plugin, slow = Resource(), Slow()
    async with running(database, ["defaults", plugin, slow]) as client:
        await client.get("/")
        await make_user(client.sigra)
        await slow.told.wait()
        ending = asyncio.create_task(client.sigra.aclose())
        await asyncio.sleep(0)
        await client.get("/")
        slow.done.set()
        await ending
        await client.get("/")

        assert plugin.log == ["open first", "open second", "close second", "close first", "open first", "open second"]
