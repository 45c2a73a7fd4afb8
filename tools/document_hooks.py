"""Writes the hook reference of docs/hooks.md from `sigra/hookspecs.py`: signatures, what is answered, who uses it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

from sigra import Settings, Sigra, hookspecs
from tools.marked import DOCS, filled

PAGE = DOCS / "hooks.md"


def rendered(page: str) -> str:
    """The page with the reference of today's hooks."""
    return filled(page, "hooks", "\n".join(sections(hookspecs)))


def sections(module: ModuleType) -> Iterator[str]:
    """One text a hook, in the order of the module; a comment between hooks is a heading."""
    users = users_of_hooks()
    source = inspect.getsource(module)
    heads = {number: line[2:].rstrip(".") for number, line in enumerate(source.splitlines(), 1) if line[:2] == "# "}
    for hook in hooks_of(source):
        for number in [number for number in heads if number < hook.lineno]:
            yield f"## {heads.pop(number)}\n"
        yield section(hook, users.get(hook.name, ()))


def hooks_of(source: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The declarations marked `@hookspec`."""
    return [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == "hookspec" for mark in node.decorator_list)
    ]


def section(hook: ast.FunctionDef | ast.AsyncFunctionDef, users: tuple[str, ...]) -> str:
    """The reference of one hook."""
    used = f"\nOf the built-in plugins, {', '.join(f'`{name}`' for name in users)} answer it.\n" if users else ""
    return f"### {hook.name}\n\n```python\n{signature(hook)}\n```\n\n{ast.get_docstring(hook)}\n{used}"


def signature(hook: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The declaration, without its text: one line, or one a parameter where that is too long."""
    colour = "async def" if isinstance(hook, ast.AsyncFunctionDef) else "def"
    parameters = [ast.unparse(one) for one in hook.args.args]
    returns = f" -> {ast.unparse(hook.returns)}" if hook.returns else ""
    line = f"{colour} {hook.name}({', '.join(parameters)}){returns}: ..."
    if len(line) <= 100:
        return line
    return "\n".join([f"{colour} {hook.name}(", *(f"    {one}," for one in parameters), f"){returns}: ..."])


def users_of_hooks() -> dict[str, tuple[str, ...]]:
    """The built-in plugins that implement each hook, in the order in which they are asked."""
    auth = Sigra(Settings(secret_keys=["k" * 32], base_url="http://localhost"), ["defaults"])
    names = [hook.name for hook in hooks_of(inspect.getsource(hookspecs))]
    return {name: auth.calls.asked(getattr(hookspecs, name)) for name in names}
