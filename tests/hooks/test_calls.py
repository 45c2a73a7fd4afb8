"""The loop that asks plugins: order, joining of answers, arguments in part, failures, and what is refused at start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from timeit import timeit
from types import FunctionType, ModuleType
from typing import Any, cast

import click
import pytest
from sqlalchemy import MetaData, Table
from starlette.requests import HTTPConnection

from sigra import hookspecs
from sigra.errors import ConfigurationError, HookFailed, InvalidToken, Refused, SigraError, TooManyAttempts
from sigra.events import SignedIn
from sigra.hooks import Active, Calls
from sigra.hookspecs import hookimpl, hookspec
from sigra.models import Attempt, Login
from sigra.protocols import Auth

AUTH = cast(Auth, object())
ATTEMPT = Attempt("password", "192.0.2.1")
TX: Any = object()
REQUEST: Any = object()
LOGIN: Any = object()


class Named:
    api = 1

    def __init__(self, name: str = "badge") -> None:
        self.name = name


def calls(*plugins: Any, trace: Any = None, specs: Sequence[ModuleType] = (hookspecs,)) -> Calls:
    return Calls(specs, [Active(plugin.name, plugin, None) for plugin in plugins], trace)


def refusal(*plugins: Any, specs: Sequence[ModuleType] = (hookspecs,)) -> str:
    with pytest.raises(ConfigurationError) as caught:
        calls(*plugins, specs=specs)
    return caught.value.detail


# Order


class Plain(Named):
    @hookimpl
    async def challenges_for_login(self) -> Any:
        return [self.name]


class First(Named):
    @hookimpl(tryfirst=True)
    async def challenges_for_login(self) -> Any:
        return [self.name]


class Last(Named):
    @hookimpl(trylast=True)
    async def challenges_for_login(self) -> Any:
        return [self.name]


async def test_plugins_are_asked_tryfirst_then_in_list_order_then_trylast() -> None:
    asked = calls(Last("l1"), Plain("a"), First("f1"), Plain("b"), First("f2"), Last("l2"))

    answers = await asked.each(AUTH, hookspecs.challenges_for_login, tx=TX, request=REQUEST, login=LOGIN)

    assert answers == [["f1"], ["f2"], ["a"], ["b"], ["l1"], ["l2"]]
    assert asked.asked(hookspecs.challenges_for_login) == ("f1", "f2", "a", "b", "l1", "l2")


async def test_order_at_build_is_the_same() -> None:
    class Routes(Named):
        @hookimpl
        def register_routes(self) -> Any:
            return [self.name]

    class Sooner(Named):
        @hookimpl(tryfirst=True)
        def register_routes(self) -> Any:
            return [self.name]

    asked = calls(Routes("a"), Routes("b"), Sooner("c"))

    assert asked.collect(AUTH, hookspecs.register_routes) == [("c", ["c"]), ("a", ["a"]), ("b", ["b"])]


async def test_one_plugin_is_asked_before_the_next_is_even_called() -> None:
    order: list[str] = []

    class Slow(Named):
        @hookimpl
        async def before_attempt(self) -> None:
            order.append(f"{self.name} begins")
            await asyncio.sleep(0)
            order.append(f"{self.name} ends")

    await calls(Slow("a"), Slow("b")).each(AUTH, hookspecs.before_attempt, attempt=ATTEMPT)

    assert order == ["a begins", "a ends", "b begins", "b ends"]


# Joining


class Answering(Named):
    def __init__(self, name: str, answer: Any = None) -> None:
        super().__init__(name)
        self.answer = answer
        self.asked = 0

    async def _answer(self) -> Any:
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    @hookimpl
    async def waivers_for_login(self) -> Any:
        return await self._answer()

    @hookimpl
    async def handle_event(self) -> Any:
        return await self._answer()

    @hookimpl
    async def before_attempt(self) -> Any:
        return await self._answer()


async def each(asked: Calls) -> list[Any]:
    return await asked.each(AUTH, hookspecs.waivers_for_login, tx=TX, request=REQUEST, login=LOGIN)


async def first(asked: Calls) -> Any:
    return await asked.first(AUTH, hookspecs.waivers_for_login, tx=TX, request=REQUEST, login=LOGIN)


async def only(asked: Calls) -> Any:
    return await asked.only(AUTH, hookspecs.waivers_for_login, tx=TX, request=REQUEST, login=LOGIN)


async def tell(asked: Calls) -> list[Any]:
    return await asked.tell(AUTH, hookspecs.handle_event, event=SignedIn())


async def test_each_gives_all_answers_that_are_not_none() -> None:
    asked = calls(Answering("a", ["mfa"]), Answering("b"), Answering("c", []), Answering("d", ""))

    assert await each(asked) == [["mfa"], [], ""]
    assert await asked.answers(AUTH, hookspecs.waivers_for_login, tx=TX, request=REQUEST, login=LOGIN) == [
        ("a", ["mfa"]),
        ("c", []),
        ("d", ""),
    ]


async def test_only_asks_all_for_the_one_answer() -> None:
    silent, empty, late = Answering("a"), Answering("b", []), Answering("c")

    assert await only(calls(silent, empty, late)) == []
    assert (silent.asked, empty.asked, late.asked) == (1, 1, 1)
    assert await only(calls(silent, late)) is None


async def test_hc48_two_answers_where_one_is_wanted_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    late = Answering("c", ["mfa"])

    with pytest.raises(HookFailed):
        await only(calls(Answering("a", ["mfa"]), Answering("b", []), late))

    assert late.asked == 0
    assert "plugins a and b both answered waivers_for_login" in caplog.text


async def test_first_asks_until_one_answers() -> None:
    silent, empty, late = Answering("a"), Answering("b", []), Answering("c", ["mfa"])

    assert await first(calls(silent, empty, late)) == []
    assert (silent.asked, empty.asked, late.asked) == (1, 1, 0)


async def test_nobody_to_ask_is_no_answer() -> None:
    asked = calls(Named())

    assert await each(asked) == []
    assert await asked.answers(AUTH, hookspecs.waivers_for_login, tx=TX, request=REQUEST, login=LOGIN) == []
    assert await first(asked) is None
    assert await tell(asked) == []
    assert asked.collect(AUTH, hookspecs.register_routes) == []
    assert asked.asked(hookspecs.register_routes) == ()


async def test_the_owner_is_asked_alone() -> None:
    class Issuing(Answering):
        @hookimpl
        async def issue_credential(self) -> Any:
            return await self._answer()

    a, b = Issuing("a", 1), Issuing("b", 2)
    asked = calls(a, b, Answering("c"))

    answer = await asked.owner("b", AUTH, hookspecs.issue_credential, tx=TX, request=REQUEST, login=LOGIN)

    assert cast(Any, answer) == 2
    assert (a.asked, b.asked) == (0, 1)
    with pytest.raises(LookupError, match="c has no issue_credential"):
        await asked.owner("c", AUTH, hookspecs.issue_credential, tx=TX, request=REQUEST, login=LOGIN)


async def test_none_at_build_is_no_answer() -> None:
    class Silent(Named):
        @hookimpl
        def register_routes(self) -> Any:
            return None

    assert calls(Silent()).collect(AUTH, hookspecs.register_routes) == []


# Arguments


class Partial(Named):
    seen: tuple[Any, ...]

    @hookimpl
    async def before_attempt(self, attempt: Attempt) -> None:
        self.seen = (attempt,)

    @hookimpl
    async def challenges_for_login(self, login: Login, auth: Auth) -> None:
        self.seen = (login, auth)

    @hookimpl
    def register_tables(self, metadata: MetaData) -> Sequence[Table] | None:
        self.seen = (metadata,)
        return None


async def test_an_implementation_takes_the_arguments_that_it_names() -> None:
    plugin, metadata = Partial(), MetaData()
    asked = calls(plugin)

    await asked.each(AUTH, hookspecs.before_attempt, attempt=ATTEMPT)
    assert plugin.seen == (ATTEMPT,)
    await asked.each(AUTH, hookspecs.challenges_for_login, tx=TX, request=REQUEST, login=LOGIN)
    assert plugin.seen == (LOGIN, AUTH)
    asked.collect(AUTH, hookspecs.register_tables, metadata=metadata)
    assert plugin.seen == (metadata,)


async def test_arguments_may_be_given_by_place() -> None:
    plugin, metadata = Partial(), MetaData()
    asked = calls(plugin)

    await asked.each(AUTH, hookspecs.challenges_for_login, TX, REQUEST, LOGIN)
    assert plugin.seen == (LOGIN, AUTH)
    await asked.each(AUTH, hookspecs.challenges_for_login, TX, REQUEST, login=LOGIN)
    assert plugin.seen == (LOGIN, AUTH)
    asked.collect(AUTH, hookspecs.register_tables, metadata)
    assert plugin.seen == (metadata,)


async def test_too_many_arguments_by_place_are_an_error() -> None:
    with pytest.raises(TypeError):
        await calls(Partial()).each(AUTH, hookspecs.before_attempt, ATTEMPT, ATTEMPT)  # type: ignore[call-arg]


async def test_static_and_class_methods_are_hooks_too() -> None:
    class Odd(Named):
        @staticmethod
        @hookimpl
        async def before_attempt(attempt: Attempt) -> Any:
            return attempt

        @classmethod
        @hookimpl
        async def waivers_for_login(cls, login: Login) -> Any:
            return login

    asked = calls(Odd())

    assert cast(Any, await asked.each(AUTH, hookspecs.before_attempt, attempt=ATTEMPT)) == [ATTEMPT]
    assert await each(asked) == [LOGIN]


async def test_a_method_of_another_name_may_implement_a_hook() -> None:
    class Renamed(Named):
        @hookimpl(specname="waivers_for_login")
        async def trusted(self) -> Any:
            return ["mfa"]

    assert await each(calls(Renamed())) == [["mfa"]]


# Failures


@pytest.mark.parametrize("error", [Refused(), TooManyAttempts(5), InvalidToken(), HookFailed()])
async def test_an_error_of_the_tree_passes_and_ends_the_asking(error: SigraError) -> None:
    late = Answering("b")

    with pytest.raises(type(error)) as caught:
        await each(calls(Answering("a", error), late))

    assert caught.value is error
    assert late.asked == 0


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), TimeoutError(), StopAsyncIteration()])
@pytest.mark.parametrize("ask", [each, first, only])
async def test_hc47_any_other_error_of_a_hook_that_may_refuse_refuses(
    error: Exception, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    late = Answering("b", ["mfa"])

    with pytest.raises(HookFailed) as caught:
        await ask(calls(Answering("a", error), late))

    assert late.asked == 0
    assert caught.value.status == 503
    assert "plugin a failed in waivers_for_login" in caplog.text


async def test_hc47_a_configuration_error_of_a_request_does_not_end_the_process() -> None:
    with pytest.raises(HookFailed):
        await each(calls(Answering("a", ConfigurationError("SIGRA_X: set it."))))


@pytest.mark.parametrize("error", [ValueError("hunter2"), Refused("hunter2"), ConfigurationError("hunter2")])
async def test_hc47_a_hook_that_is_told_is_reported_and_the_rest_go_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    late = Answering("b", "seen")

    assert await tell(calls(Answering("a", error), late)) == ["seen"]

    reports = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(reports) == 1
    assert "plugin a" in reports[0].getMessage()
    assert "handle_event" in reports[0].getMessage()
    assert "hunter2" not in reports[0].getMessage()


@pytest.mark.parametrize("ask", [each, first, tell])
async def test_cancellation_is_no_failure(ask: Any) -> None:
    late = Answering("b")

    with pytest.raises(asyncio.CancelledError):
        await ask(calls(Answering("a", asyncio.CancelledError()), late))

    assert late.asked == 0


async def test_hc49_a_plugin_that_fails_at_build_is_named() -> None:
    class Broken(Named):
        @hookimpl
        def register_routes(self) -> Any:
            raise ValueError("no route")

    with pytest.raises(ConfigurationError) as caught:
        calls(Broken()).collect(AUTH, hookspecs.register_routes)

    assert "Plugin badge failed in register_routes (ValueError: no route)" in caught.value.detail
    assert "-badge in SIGRA_PLUGINS" in caught.value.detail


async def test_a_configuration_error_at_build_passes_as_it_is() -> None:
    error = ConfigurationError("SIGRA_BADGE__READER: plug one in.")

    class Broken(Named):
        @hookimpl
        def register_routes(self) -> Any:
            raise error

    with pytest.raises(ConfigurationError) as caught:
        calls(Broken()).collect(AUTH, hookspecs.register_routes)

    assert caught.value is error


# Tracing


async def test_hc21_the_trace_says_who_was_asked_what_and_no_value() -> None:
    lines: list[str] = []
    secret = "hunter2"

    class Keeper(Named):
        @hookimpl
        async def identity_from_authorization(
            self, auth: Auth, request: HTTPConnection, scheme: str, credentials: str
        ) -> Any:
            return {"key": credentials}

        @hookimpl
        def register_commands(self, cli: click.Group) -> None:
            return None

    asked = calls(
        Keeper("a"),
        Answering("b", Refused(secret)),
        Answering("c", ValueError(secret)),
        trace=lines.append,
    )
    asked.collect(AUTH, hookspecs.register_commands, cli=click.Group(secret))
    await asked.each(AUTH, hookspecs.identity_from_authorization, request=REQUEST, scheme="bearer", credentials=secret)
    await tell(asked)

    assert lines == [
        "sigra: register_commands asked a: nothing",
        "sigra: identity_from_authorization asked a: a dict",
        "sigra: handle_event asked b: a Refused",
        "sigra: handle_event asked c: a ValueError",
    ]


# Refused at start: each names the plugin and the cure


def plugin_with(name: str, function: Any) -> Any:
    """A plugin with one method of that name, unmarked."""
    return type("Badge", (Named,), {name: FunctionType(function.__code__, globals(), name, function.__defaults__)})()


def method(name: str, function: Any, **options: bool) -> Any:
    """A plugin with one method of that name, marked."""
    plugin = plugin_with(name, function)
    hookimpl(**options)(vars(type(plugin))[name])
    return plugin


async def _nothing(self: Any) -> None: ...


def _sync(self: Any) -> None: ...


async def _unknown_argument(self: Any, requests: Any) -> None: ...


async def _default(self: Any, attempt: Any = None) -> None: ...


async def _rest(self: Any, *attempt: Any) -> None: ...


async def _keywords(self: Any, **attempt: Any) -> None: ...


async def _keyword_only(self: Any, *, attempt: Any) -> None: ...


def _generator(self: Any) -> Any:
    yield


async def _async_generator(self: Any) -> Any:
    yield


@pytest.mark.parametrize(
    ("plugin", "reason", "cure"),
    [
        (method("before_atempt", _nothing), "before_atempt, which is no hook", "did you mean before_attempt?"),
        (method("frobnicate", _nothing), "frobnicate, which is no hook", "remove it"),
        (method("before_attempt", _sync), "wrong colour in before_attempt", "`async def`"),
        (method("register_routes", _nothing), "wrong colour in register_routes", "`def`"),
        (method("before_attempt", _unknown_argument), "takes requests in before_attempt", "any of auth, attempt"),
        (method("before_attempt", _default), "takes attempt in before_attempt", "without defaults"),
        (method("before_attempt", _rest), "takes attempt in before_attempt", "any of auth, attempt"),
        (method("before_attempt", _keywords), "takes attempt in before_attempt", "any of auth, attempt"),
        (method("before_attempt", _keyword_only), "takes attempt in before_attempt", "any of auth, attempt"),
        (method("register_routes", _generator), "yields in register_routes", "return"),
        (method("before_attempt", _async_generator), "yields in before_attempt", "return"),
        (method("before_attempt", _async_generator, hookwrapper=True), "wraps before_attempt", "plainly"),
        (method("register_routes", _generator, wrapper=True), "wraps register_routes", "plainly"),
        (plugin_with("before_attempt", _nothing), "before_attempt without @hookimpl", "mark it"),
        (type("Badge", (Named,), {"api": 2})(), "written for hook ABI 2", "`api = 1`"),
        (type("Badge", (Named,), {"api": None})(), "written for hook ABI None", "`api = 1`"),
        (type("Badge", (Named,), {"api": "1"})(), "written for hook ABI '1'", "`api = 1`"),
    ],
)
def test_hc49_a_hook_that_would_not_be_asked_is_refused(plugin: Any, reason: str, cure: str) -> None:
    message = refusal(Named("other"), plugin)

    assert f"Plugin badge (of {__name__})" in message
    assert reason in message
    assert cure in message


def test_hc49_an_unmarked_hook_of_the_instance_is_refused_too() -> None:
    plugin = Named()
    plugin.before_attempt = lambda: None  # type: ignore[attr-defined]

    assert "before_attempt without @hookimpl" in refusal(plugin)


def test_hc49_a_hook_marked_under_another_name_is_checked_by_that_name() -> None:
    class Renamed(Named):
        @hookimpl(specname="before_atempt")
        async def mine(self) -> None: ...

    assert "before_atempt, which is no hook" in refusal(Renamed())


def test_an_optional_hook_may_be_unknown() -> None:
    assert calls(method("frobnicate", _nothing, optionalhook=True)).asked(hookspecs.before_attempt) == ()


def test_a_property_is_not_evaluated() -> None:
    class Late(Named):
        @property
        def reader(self) -> Any:
            raise RuntimeError("not started")

    assert calls(Late()).asked(hookspecs.before_attempt) == ()


# Hooks of plugins


def specs(**functions: Any) -> ModuleType:
    module = ModuleType("badge_hooks")
    for name, function in functions.items():
        function.__name__ = name
        setattr(module, name, hookspec(function))
    return module


async def test_a_plugin_may_bring_hooks_of_its_own() -> None:
    async def badge_read(auth: Auth, number: str) -> str | None: ...

    module = specs(badge_read=badge_read)

    class Reader(Named):
        @hookimpl
        async def badge_read(self, number: str) -> str:
            return number

    asked = calls(Reader(), specs=(hookspecs, module))

    assert await asked.each(AUTH, module.badge_read, number="7") == ["7"]


def test_hc48_two_hooks_of_one_name_are_refused() -> None:
    async def before_attempt(auth: Auth) -> None: ...

    message = refusal(specs=(hookspecs, specs(before_attempt=before_attempt)))

    assert "badge_hooks" in message
    assert "before_attempt" in message


def test_a_module_without_hooks_is_refused() -> None:
    assert "badge_hooks" in refusal(specs=(hookspecs, ModuleType("badge_hooks")))


# Cost


def test_asking_nobody_costs_next_to_nothing() -> None:
    asked = calls(Named())

    def ask() -> None:
        try:
            asked.answers(AUTH, hookspecs.before_attempt, attempt=ATTEMPT).send(None)
        except StopIteration:
            return

    assert min(timeit(ask, number=1000) for _ in range(20)) / 1000 < 5e-6  # about 1e-6 on a quiet machine


async def test_every_hook_is_documented_by_how_its_answers_are_joined() -> None:
    asked = calls()
    for name, spec in vars(hookspecs).items():
        if getattr(spec, "sigra_spec", None) is None:
            continue
        assert spec.__doc__
        assert spec.__doc__.split(":")[0] in ("Collect", "Each", "Every", "First") or spec.__doc__.startswith("Return")
        assert asked.asked(spec) == (), name


# Told, and who failed


async def test_hc47_what_each_plugin_said_or_raised_is_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    class Raises(Named):
        @hookimpl
        async def parts_for_page(self) -> Any:
            raise Refused

    class Breaks(Named):
        @hookimpl
        async def parts_for_page(self) -> Any:
            raise RuntimeError

    class Silent(Named):
        @hookimpl
        async def parts_for_page(self) -> Any:
            return None

    class Says(Named):
        @hookimpl
        async def parts_for_page(self) -> Any:
            return ["part"]

    asked = calls(Raises("r"), Breaks("b"), Silent("n"), Says("s"))

    outcomes = await asked.outcomes(AUTH, hookspecs.parts_for_page, request=REQUEST, page="login")

    assert [(name, type(outcome)) for name, outcome in outcomes] == [("r", Refused), ("b", HookFailed), ("s", list)]
    assert "plugin r raised Refused" in caplog.text and "plugin b failed" in caplog.text
