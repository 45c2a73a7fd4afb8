"""Every kind of message is received by a test, or is still to be brought by a plugin that is named."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from tests.exercised import messages
from tests.player import ROOT

RECEIVED = MappingProxyType(
    {
        "verify_email": "test_signup.py::test_without_the_demand_for_a_proof_an_account_is_made_at_once",
        "already_registered": "test_signup.py::test_hc07_who_has_an_account_is_told_by_mail_at_the_stored_address",
        "reset_password": (
            "test_password_reset.py::test_mail_goes_to_the_stored_address_and_only_where_there_is_an_active_account"
        ),
        "magic_link": "test_magic_link.py::test_mail_goes_to_the_stored_address_of_active_accounts_alone",
        "confirm_new_email": "test_email_change.py::test_both_mailboxes_are_told_and_the_new_one_does_it",
        "email_change_notice": "test_email_change.py::test_both_mailboxes_are_told_and_the_new_one_does_it",
        "email_changed": "test_email_change.py::test_both_mailboxes_are_told_and_the_new_one_does_it",
        "password_changed": (
            "test_password_reset.py::test_hc33_a_reset_ends_sessions_and_sign_ins_under_way_and_leaves_keys"
        ),
        "new_sign_in": (
            "test_known_browsers.py::test_a_sign_in_from_a_new_browser_and_a_new_network_is_told_by_mail_event_and_mark"
        ),
        "api_key_created": "test_api_keys.py::test_the_mailbox_is_told_of_a_key_and_not_what_it_is",
        "recovery_code_used": (
            "test_recovery_codes.py::test_a_code_completes_a_sign_in_at_level_2_and_says_how_many_are_left"
        ),
        "deletion_scheduled": "test_account_deletion.py::test_an_account_is_closed_at_once_and_says_until_when",
        "factor_added": ("sigra-totp/tests/test_enrolling.py::test_an_app_counts_after_its_first_code_and_not_before"),
        "factor_removed": "sigra-totp/tests/test_removing.py::test_an_app_that_is_removed_is_asked_for_no_more",
        "account_locked": ("sigra-lockout/tests/test_unlocking.py::test_one_mail_a_lock_goes_to_the_stored_address"),
        **dict.fromkeys(
            ("factors_removal_requested", "factors_removed"),
            "test_factor_removal.py::test_hc16_factors_are_removed_after_a_wait_of_which_the_owner_is_told_at_once",
        ),
        **dict.fromkeys(
            ("identity_linked", "identity_unlinked"),
            "sigra-oauth/tests/test_mails.py::test_the_owner_is_told_what_is_linked_and_what_is_not_any_more",
        ),
        "account_deleted": "test_account_deletion.py::test_an_account_is_erased_when_its_grace_is_over",
    }
)
"""The test, below `tests/plugins` or in its distribution."""

TO_COME = MappingProxyType(
    {
        "refresh_token_reused": "sigra-jwt",
    }
)
"""The plugin that will send it."""


@pytest.mark.parametrize("kind", RECEIVED)
def test_a_kind_has_a_template_and_a_test_that_receives_it(kind: str) -> None:
    file, _, name = RECEIVED[kind].partition("::")
    folder = "plugins-contrib" if "/" in file else "tests/plugins"
    text = (ROOT / folder / file).read_text("utf-8")
    _, found, test = text.partition(f"async def {name}(")

    assert kind in messages()
    assert found, f"{file} has no {name}"
    assert kind in test.partition("\nasync def ")[0]


@pytest.mark.parametrize("kind", TO_COME)
def test_a_kind_that_is_to_come_is_not_there_yet(kind: str) -> None:
    assert kind not in messages(), f"say which test receives {kind}"


def test_no_kind_is_left_out() -> None:
    page = (ROOT / "docs" / "messages.md").read_text("utf-8")

    assert set(messages()) == set(RECEIVED)
    assert [kind for kind in RECEIVED if f"| `{kind}` |" not in page] == []
