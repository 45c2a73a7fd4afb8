"""`sigra keys generate`."""

from __future__ import annotations

from sigra.testing import cheap_settings
from tests.cli.conftest import Run


def test_a_key_is_printed_alone_and_is_fit(bare: Run):
    result = bare("keys", "generate")

    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    assert cheap_settings(secret_keys=[result.stdout.strip()])


def test_no_two_keys_are_alike(bare: Run):
    assert bare("keys", "generate").stdout != bare("keys", "generate").stdout


def test_a_wrong_configuration_is_no_hindrance(bare: Run):
    assert bare("keys", "generate", SIGRA_SECRET_KEYS="short", SIGRA_APP="nonsense").exit_code == 0
