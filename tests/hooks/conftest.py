"""Distributions that announce plugins, as an installer leaves them: a module and a dist-info folder on the path."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

Announce = Callable[..., None]


@pytest.fixture
def announce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Announce:
    """`announce("sigra-badge", "badge = sigra_badge:Badge", sigra_badge="class Badge: …")`."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def make(distribution: str, *points: str, version: str = "1.0", **modules: str) -> None:
        information = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (information / "entry_points.txt").write_text("\n".join(["[sigra.plugins]", *points, ""]))
        for name, source in modules.items():
            (folder / f"{name}.py").write_text(dedent(source))
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()

    return make
