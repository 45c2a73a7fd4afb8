"""`sigra audit`: what it says, and with which status."""

import csv
import io
import json
import sqlite3

import pytest
from click.testing import CliRunner

from sigra.cli.shell import Shell
from sigra_audit.exporting import csv_line

KEY = "a key for tests that everybody knows"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = {
        "SIGRA_SECRET_KEYS": KEY,
        "SIGRA_BASE_URL": "http://localhost",
        "SIGRA_DEVELOPMENT": "true",
        "SIGRA_PASSWORD__MEMORY_KIB": "8",
        "SIGRA_PASSWORD__TIME": "1",
        "SIGRA_PLUGINS": "defaults,audit",
        "SIGRA_DATABASE_URL": f"sqlite:///{tmp_path / 'sigra.db'}",
    }

    def invoke(*arguments, input=None, **settings):
        result = CliRunner().invoke(Shell(), arguments, input=input, env={**usual, **settings})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    assert invoke("db", "upgrade").exit_code == 0
    return invoke


@pytest.fixture
def filled(run):
    """Four accounts, a row each."""
    for email in ("ada@example.com", "bob@example.com", "eve@example.com", "mallory@example.com"):
        made = run("users", "create", email, "--password-stdin", input="a long password of theirs\n")
        assert made.exit_code == 0
    return run


def change(path, statement):
    with sqlite3.connect(path / "sigra.db") as connection:
        connection.execute(statement)
    connection.close()


def test_an_empty_record_is_intact(run):
    result = run("audit", "verify")

    assert result.exit_code == 0
    assert result.stdout.startswith("intact: no rows\n")


def test_a_record_is_intact_until_somebody_edits_it(filled, tmp_path):
    intact = filled("audit", "verify")
    change(tmp_path, "UPDATE sigra_audit SET name = 'x' WHERE id = (SELECT min(id) FROM sigra_audit)")
    edited = filled("audit", "verify")

    assert intact.exit_code == 0
    assert intact.stdout.splitlines()[0] == "intact: 4 rows, positions 1 to 4"
    assert edited.exit_code == 1
    assert edited.stdout == ""
    assert "not intact: position 1: row " in edited.stderr
    assert "was edited" in edited.stderr


def test_a_checkpoint_catches_a_cut_end(filled, tmp_path):
    (tmp_path / "seen.json").write_text(filled("audit", "checkpoint").stdout)
    intact = filled("audit", "verify", "--checkpoint", "seen.json")
    change(tmp_path, "DELETE FROM sigra_audit WHERE id = (SELECT entry_id FROM sigra_audit_seals WHERE position = 4)")
    change(tmp_path, "DELETE FROM sigra_audit_seals WHERE position = 4")

    assert intact.exit_code == 0
    assert filled("audit", "verify").exit_code == 0
    cut = filled("audit", "verify", "--checkpoint", "seen.json")
    assert cut.exit_code == 1
    assert "position 4: the row and all after it were removed: the checkpoint saw 4" in cut.stderr


def test_a_checkpoint_is_one_line_on_its_own(filled):
    result = filled("audit", "checkpoint")

    assert list(json.loads(result.stdout)) == ["position", "hash", "made_at", "mac"]
    assert json.loads(result.stdout)["position"] == 4


def test_a_checkpoint_of_other_keys_is_refused(filled, tmp_path):
    (tmp_path / "seen.json").write_text(filled("audit", "checkpoint").stdout)
    new = "another key that nobody has ever seen"
    refused = filled("audit", "verify", "--checkpoint", "seen.json", SIGRA_SECRET_KEYS=new)
    taken = filled("audit", "verify", "--checkpoint", "seen.json", SIGRA_SECRET_KEYS=f"{new},{KEY}")

    assert refused.exit_code == 1
    assert "none of the keys that are set has signed it" in refused.stderr
    assert taken.exit_code == 0


def test_a_file_that_is_not_there_is_wrong_usage(run):
    assert run("audit", "verify", "--checkpoint", "nowhere").exit_code == 2


def test_rows_are_exported_as_json_lines(filled):
    lines = [json.loads(line) for line in filled("audit", "export").stdout.splitlines()]

    assert [one["name"] for one in lines] == ["user.created"] * 4
    assert all(one["hash"] and one["client"] is None and one["actor_id"] is None for one in lines)


def test_rows_are_exported_as_csv(filled):
    rows = list(csv.DictReader(io.StringIO(filled("audit", "export", "--format", "csv").stdout)))

    assert len(rows) == 4
    assert set(rows[0]) >= {"id", "occurred_at", "name", "outcome", "metadata", "position", "hash"}


def test_an_export_can_be_of_one_account_or_one_time(filled):
    def count(*options):
        return len(filled("audit", "export", *options).stdout.splitlines())

    assert count("--user", "ADA@example.com") == 1
    assert count("--since", "2020-01-01") == 4
    assert count("--until", "2020-01-01") == 0
    assert count("--since", "2020-01-01", "--until", "2020-01-02") == 0
    assert filled("audit", "export", "--user", "nobody@example.com").exit_code == 1
    assert filled("audit", "export", "--since", "yesterday").exit_code == 2


async def test_an_export_finds_what_was_tried_with_an_address(room, database):
    from sigra_audit.exporting import Selection, records

    async with room(database) as here:
        for email in ("eve@example.com", "bob@example.com"):
            await here.client.post("/auth/login", json={"email": email, "password": "a wrong password"})
        chosen = Selection(pseudonyms=here.audit.keys.pseudonyms("EVE@example.com"))
        found = [one async for one in records(here.auth, here.audit.tables, chosen)]

        assert [one["name"] for one in found] == ["sign_in.failed"]


def test_pruning_says_what_went(filled):
    assert filled("audit", "prune").stdout == "Pruned: 0\n"


def test_sealing_says_what_got_a_place(filled):
    assert filled("audit", "seal").stderr == "Sealed: 0\n"


def test_pruning_and_sealing_refuse_what_is_not_intact(filled, tmp_path):
    change(tmp_path, "UPDATE sigra_audit_seals SET mac = zeroblob(32) WHERE position = 4")
    sealing = filled("audit", "seal")

    assert sealing.exit_code == 1
    assert "position 4 is not authentic" in sealing.stderr
    change(tmp_path, "UPDATE sigra_audit SET name = 'x'")
    assert filled("audit", "verify").exit_code == 1


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", " =", "\t=", "\uff1d", "\r=", "\n@"])
def test_hc38_no_cell_is_a_formula(begin):
    [[cell]] = csv.reader(io.StringIO(csv_line([f"{begin}cmd|' /C calc'!A0"])))

    assert cell.startswith("'")


def test_hc38_what_somebody_wrote_into_the_table_cannot_speak_to_a_terminal(filled, tmp_path):
    change(tmp_path, "UPDATE sigra_audit SET user_agent = char(27) || '[31m' || char(10) || '=1', name = char(27)")
    exported = filled("audit", "export").stdout + filled("audit", "export", "--format", "csv").stdout

    assert "\x1b" not in exported
    assert len(exported.splitlines()) == 9
    assert "\x1b" not in filled("audit", "verify").stderr
