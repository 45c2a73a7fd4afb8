"""The loop that asks plugins: order, colour and arguments are settled once, so that a call is a plain loop.

pluggy finds, orders and checks the implementations. It is synchronous, so the awaiting is done here: calling a pluggy
hook with coroutines makes all of them before the first is awaited, which leaves vetoes unawaited.
"""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import pluggy

from sigra.errors import ConfigurationError, HookFailed, SigraError
from sigra.hooks.discovery import Active
from sigra.hookspecs import API, PROJECT
from sigra.messages import Undelivered
from sigra.protocols import Auth

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("sigra.hooks")


@dataclass(frozen=True, slots=True)
class _Implementation:
    plugin: str
    function: Callable[..., Any]
    argnames: tuple[str, ...]
    takes_all: bool

    def taken(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those of the arguments that it names."""
        return given if self.takes_all else {name: given[name] for name in self.argnames}


class Calls:
    """The implementations of every hook, in the order in which they are asked.

    Args:
        specs: Modules of hookspecs: the core's first, then plugins' own.
        plugins: In list order; `tryfirst` and `trylast` move an implementation to either end.
        trace: Told, a line a call, which plugin was asked what and how it answered, without values.

    Raises:
        ConfigurationError: A misspelt or unmarked hook, an unknown argument, the wrong colour, a wrapper, another ABI.
    """

    def __init__(
        self, specs: Sequence[ModuleType], plugins: Sequence[Active], trace: Callable[[str], None] | None = None
    ) -> None:
        manager = _Manager(PROJECT)
        names = {name for module in specs for name in _declare(manager, module)}
        for active in plugins:
            _check(manager, names, active)
            manager.register(active.plugin, name=active.name)
        order = [active.name for active in plugins]
        self._implementations = {name: _resolve(getattr(manager.hook, name), order) for name in names}
        self._trace = trace

    def asked(self, spec: Callable[..., Any]) -> tuple[str, ...]:
        """The names of the plugins that implement a hook, in the order in which they are asked."""
        return tuple(one.plugin for one in self._implementations[spec.__name__])

    def collect(
        self, auth: Auth, spec: Callable[Concatenate[Auth, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> list[tuple[str, R]]:
        """Ask every plugin, at build: the answers that are not None, with the plugins' names.

        Raises:
            ConfigurationError: A plugin fails; names it.
        """
        return list(self.collecting(auth, spec, *args, **kwargs))

    def collecting(
        self, auth: Auth, spec: Callable[Concatenate[Auth, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[tuple[str, R]]:
        """`collect`, so that each answer can be looked at before the next plugin is asked."""
        for one, given in self._calls(auth, spec, args, kwargs):
            try:
                answer: R | None = one.function(**given)
            except SigraError:
                raise
            except Exception as error:  # whatever a stranger raises, the start ends with the plugin's name
                raise ConfigurationError(
                    f"Plugin {one.plugin} failed in {spec.__name__} ({type(error).__name__}: {error}): "
                    f"mend it, or switch it off with -{one.plugin} in SIGRA_PLUGINS."
                ) from error
            self._tell_trace(spec.__name__, one, answer)
            if answer is not None:
                yield one.plugin, answer

    async def answers(
        self, auth: Auth, spec: Callable[Concatenate[Auth, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> list[tuple[str, R]]:
        """Ask every plugin in order: the answers that are not None, with the plugins' names.

        Raises:
            SigraError: What a plugin raised.
            HookFailed: A plugin raised anything else: what could not be checked is refused.
        """
        answers: list[tuple[str, R]] = []
        for one, given in self._calls(auth, spec, args, kwargs):
            answer: R | None = await self._ask(spec.__name__, one, given)
            if answer is not None:
                answers.append((one.plugin, answer))
        return answers

    async def only(
        self, auth: Auth, spec: Callable[Concatenate[Auth, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """Ask every plugin in order: the one answer that is not None.

        Raises:
            SigraError: What a plugin raised.
            HookFailed: A plugin raised anything else, or two answered.
        """
        hook, only, who = spec.__name__, None, ""
        given = _given(auth, spec, args, kwargs)
        for one in self._implementations[hook]:
            try:
                # `_ask` without its frame: this is the path of every request.
                answer = await one.function(**given if one.takes_all else one.taken(given))
            except Exception as error:  # noqa: BLE001
                self._fail(hook, one, error)
            if self._trace is not None:
                self._tell_trace(hook, one, answer)
            if answer is None:
                continue
            if only is not None:
                _log.error("plugins %s and %s both answered %s: switch one off", who, one.plugin, hook)
                raise HookFailed
            only, who = answer, one.plugin
        return only

    async def each(
        self, auth: Auth, spec: Callable[Concatenate[Auth, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> list[R]:
        """`answers` without the names."""
        if not self._implementations[spec.__name__]:
            return []
        return [answer for _, answer in await self.answers(auth, spec, *args, **kwargs)]

    async def first(
        self, auth: Auth, spec: Callable[Concatenate[Auth, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """Ask the plugins in order until one answers."""
        for one, given in self._calls(auth, spec, args, kwargs):
            answer: R | None = await self._ask(spec.__name__, one, given)
            if answer is not None:
                return answer
        return None

    async def owner(
        self,
        plugin: str,
        auth: Auth,
        spec: Callable[Concatenate[Auth, P], Awaitable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Ask one plugin alone.

        Raises:
            LookupError: It does not implement the hook.
        """
        for one, given in self._calls(auth, spec, args, kwargs):
            if one.plugin == plugin:
                answer: R = await self._ask(spec.__name__, one, given)
                return answer
        raise LookupError(f"plugin {plugin} has no {spec.__name__}")

    async def tell(
        self, auth: Auth, spec: Callable[Concatenate[Auth, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> list[R]:
        """`outcomes` of those that answered."""
        told = await self.outcomes(auth, spec, *args, **kwargs)
        return [answer for _, answer in told if not isinstance(answer, SigraError)]

    async def outcomes(
        self, auth: Auth, spec: Callable[Concatenate[Auth, P], Awaitable[R | None]], *args: P.args, **kwargs: P.kwargs
    ) -> list[tuple[str, R | SigraError]]:
        """Ask every plugin that cannot refuse: one that raises is reported, and the rest go on.

        Returns:
            What each said or raised, with its name.
        """
        outcomes: list[tuple[str, R | SigraError]] = []
        for one, given in self._calls(auth, spec, args, kwargs):
            outcome: R | SigraError | None
            try:
                outcome = await self._ask(spec.__name__, one, given)
            except HookFailed as error:
                outcome = error  # reported where it was caught
            except SigraError as error:
                _log.error("plugin %s raised %s in %s", one.plugin, type(error).__name__, spec.__name__)
                outcome = error
            if outcome is not None:
                outcomes.append((one.plugin, outcome))
        return outcomes

    def _calls(
        self, auth: Auth, spec: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Sequence[tuple[_Implementation, Mapping[str, Any]]]:
        implementations = self._implementations[spec.__name__]
        if not implementations:
            return ()
        given = _given(auth, spec, args, kwargs)
        return [(one, one.taken(given)) for one in implementations]

    async def _ask(self, hook: str, one: _Implementation, given: Mapping[str, Any]) -> Any:
        try:
            answer = await one.function(**given)
        except Exception as error:  # noqa: BLE001
            self._fail(hook, one, error)
        self._tell_trace(hook, one, answer)
        return answer

    def _fail(self, hook: str, one: _Implementation, error: Exception) -> NoReturn:
        """Raise what the caller is told of a plugin's error: ours as it is, anything else without its text."""
        self._tell_trace(hook, one, error)
        # A configuration error ends the process when nobody catches it: no request may do that.
        if isinstance(error, SigraError | Undelivered) and not isinstance(error, ConfigurationError):
            raise error
        _log.error("plugin %s failed in %s", one.plugin, hook, exc_info=error)
        raise HookFailed from error

    def _tell_trace(self, hook: str, one: _Implementation, answer: object) -> None:
        if self._trace is not None:
            said = "nothing" if answer is None else f"a {type(answer).__name__}"
            self._trace(f"sigra: {hook} asked {one.plugin}: {said}")


def _given(auth: Auth, spec: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a call by their names."""
    return inspect.signature(spec).bind(auth, *args, **kwargs).arguments if args else {"auth": auth, **kwargs}


class _Manager(pluggy.PluginManager):
    """Reads plain functions' marks itself: pluggy's close look at every attribute took half of the time of a start."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        return _mark(plugin, name, f"{self.project_name}_impl", super().parse_hookimpl_opts)

    def parse_hookspec_opts(self, module_or_class: ModuleType | type, name: str) -> Any:
        return _mark(module_or_class, name, f"{self.project_name}_spec", super().parse_hookspec_opts)


def _mark(holder: Any, name: str, mark: str, look_closely: Callable[[Any, str], Any]) -> Any:
    """The options in an attribute's mark, found without asking for the attribute, which could run a property."""
    if name.startswith("__"):
        return None
    for its in (getattr(holder, "__dict__", {}), *map(vars, type(holder).__mro__)):
        if name in its:
            value = its[name]
            if isinstance(value, FunctionType):
                return getattr(value, mark, None)
            return look_closely(holder, name) if isinstance(value, _WRAPPED) else None
    return None


_WRAPPED = (staticmethod, classmethod, MethodType, MemberDescriptorType)
"""What may hold a marked function."""


def _declare(manager: pluggy.PluginManager, module: ModuleType) -> list[str]:
    try:
        manager.add_hookspecs(module)
    except ValueError as error:
        raise ConfigurationError(
            f"The hooks of {module.__name__} cannot be declared ({error}): give each a name of its own."
        ) from error
    return [name for name in dir(module) if manager.parse_hookspec_opts(module, name) is not None]


def _resolve(hook: pluggy.HookCaller, order: Sequence[str]) -> tuple[_Implementation, ...]:
    """`tryfirst`, then the rest, then `trylast`, each in list order; pluggy's own order turns some of that round."""

    def place(one: pluggy.HookImpl) -> tuple[int, int]:
        return one.trylast - one.tryfirst, order.index(one.plugin_name)

    takes = len(hook.spec.argnames) if hook.spec is not None else 0
    return tuple(
        _Implementation(one.plugin_name, one.function, tuple(one.argnames), len(one.argnames) == takes)
        for one in sorted(hook.get_hookimpls(), key=place)
    )


def _check(manager: pluggy.PluginManager, names: set[str], active: Active) -> None:
    plugin = active.plugin
    if getattr(plugin, "api", None) != API:
        raise ConfigurationError(
            f"Plugin {active.where} is written for hook ABI {getattr(plugin, 'api', None)!r}, this Sigra has {API}: "
            f"set `api = {API}` or install a version that fits."
        )
    for name in dir(plugin):
        if not name.startswith("__"):
            _check_method(manager, names, active, name)


def _check_method(manager: pluggy.PluginManager, names: set[str], active: Active, name: str) -> None:
    options = manager.parse_hookimpl_opts(active.plugin, name)
    if options is None:
        if name in names:
            raise ConfigurationError(f"Plugin {active.where} defines {name} without @hookimpl: mark it, or rename it.")
        return
    hook = options.get("specname") or name
    if hook not in names:
        if options["optionalhook"]:
            return
        nearest = difflib.get_close_matches(hook, names, n=1)
        cure = f"did you mean {nearest[0]}?" if nearest else "remove it."
        raise ConfigurationError(f"Plugin {active.where} implements {hook}, which is no hook: {cure}")
    if options["wrapper"] or options["hookwrapper"]:
        raise ConfigurationError(f"Plugin {active.where} wraps {hook}: wrappers are not asked; implement it plainly.")
    _check_signature(manager, active, hook, getattr(active.plugin, name))


def _check_signature(manager: pluggy.PluginManager, active: Active, hook: str, function: Callable[..., Any]) -> None:
    spec = getattr(manager.hook, hook).spec
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"Plugin {active.where} yields in {hook}: return the answer.")
    if inspect.iscoroutinefunction(function) != inspect.iscoroutinefunction(spec.function):
        colour = "async def" if inspect.iscoroutinefunction(spec.function) else "def"
        raise ConfigurationError(f"Plugin {active.where} has the wrong colour in {hook}: write it as `{colour}`.")
    unknown = [
        one.name
        for one in _parameters(function)
        if one.name not in spec.argnames or one.default is not one.empty or one.kind is not one.POSITIONAL_OR_KEYWORD
    ]
    if unknown:
        raise ConfigurationError(
            f"Plugin {active.where} takes {', '.join(unknown)} in {hook}: "
            f"take any of {', '.join(spec.argnames)}, without defaults."
        )


def _parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    """What has to be given to a function or a bound method."""
    if isinstance(function, MethodType):
        return _declared_parameters(function.__func__)[1:]
    return _declared_parameters(function)


@lru_cache(maxsize=1024)
def _declared_parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(function).parameters.values())
