"""Which migrations run, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from sigra import Sigra
from sigra.db.migrations import CORE, Lineage
from sigra.testing import cheap_settings
from tests.hooks.conftest import Announce

PLUGIN = """
class {cls}:
    name = "{name}"
    api = 1
    requires = {requires}
"""


@pytest.fixture
def ship(announce: Announce, tmp_path: Path):
    """`ship("sigra-badge", "badge")`: a distribution whose package has migrations beside its module."""

    def ship(distribution: str, *names: str, requires: tuple[str, ...] = (), migrations: bool = True) -> None:
        package = distribution.replace("-", "_")
        announce(distribution, *(f"{name} = {package}:{name.title()}" for name in names))
        folder = tmp_path / "site-packages" / package
        folder.mkdir()
        source = "".join(PLUGIN.format(cls=name.title(), name=name, requires=requires) for name in names)
        (folder / "__init__.py").write_text(source)
        if migrations:
            (folder / "migrations").mkdir()
            (folder / "migrations" / "__init__.py").touch()

    return ship


def lineages(*plugins: object) -> list[Lineage]:
    return Sigra(cheap_settings(), ["defaults", *plugins]).lineages()


def test_the_built_ins_have_the_lineage_of_the_core():
    assert lineages() == [CORE]


def test_a_distribution_has_one_lineage_after_the_core(ship):
    ship("sigra-badge-one", "badge_one", "badge_two")

    assert lineages("badge_one", "badge_two") == [CORE, Lineage("sigra-badge-one", "sigra_badge_one.migrations")]


def test_an_inactive_plugin_has_none(ship):
    ship("sigra-badge-off", "badge_off")

    assert lineages() == [CORE]


def test_a_distribution_without_migrations_has_none(ship):
    ship("sigra-badge-bare", "badge_bare", migrations=False)

    assert lineages("badge_bare") == [CORE]


def test_what_is_required_comes_first(ship):
    ship("sigra-first", "first", requires=("second",))
    ship("sigra-second", "second")

    assert [one.distribution for one in lineages("first", "second")] == ["sigra", "sigra-second", "sigra-first"]


def test_a_plugin_given_as_an_object_has_the_lineage_of_its_distribution(ship):
    ship("sigra-badge-object", "badge_object")
    import sigra_badge_object

    assert [one.distribution for one in lineages(sigra_badge_object.Badge_Object())] == ["sigra", "sigra-badge-object"]


def test_a_plugin_of_the_application_itself_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "host_with_plugin" / "migrations").mkdir(parents=True)
    (tmp_path / "host_with_plugin" / "__init__.py").write_text(PLUGIN.format(cls="Own", name="own", requires=()))
    monkeypatch.syspath_prepend(tmp_path)
    import host_with_plugin

    assert lineages(host_with_plugin.Own()) == [CORE]
