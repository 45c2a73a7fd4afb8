"""What the parameters of a callback say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from sigra_oauth.callbacks import CODE_LENGTH, read_code, shown
from sigra_oauth.errors import OAuthDenied, OAuthFailed, OAuthUnavailable

ISSUER = "https://login.example.com"


def read(parameters: Mapping[str, Sequence[str]], *, names_itself: bool = False) -> str:
    return read_code(parameters, issuer=ISSUER, names_itself=names_itself, denied=("user_denied",))


def reason(parameters: Mapping[str, Sequence[str]], *, names_itself: bool = False) -> str:
    with pytest.raises(OAuthFailed) as refused:
        read(parameters, names_itself=names_itself)
    return refused.value.reason


def test_a_callback_has_a_code() -> None:
    assert read({"code": ["abc"], "state": ["s"], "scope": ["a", "b"]}) == "abc"
    assert read({"code": ["x" * CODE_LENGTH], "iss": [ISSUER]}, names_itself=True)


@pytest.mark.parametrize("code", [[], [""], ["x" * (CODE_LENGTH + 1)], ["a\0b"], ["a\nb"], ["\ud800"]], ids=range(6))
def test_hc31_a_callback_without_a_code_is_no_answer(code: Sequence[str]) -> None:
    assert reason({"code": code}) == "the answer has no code"


@pytest.mark.parametrize("name", ["code", "error", "iss", "state", "user"])
def test_hc29_what_is_said_once_is_said_once(name: str) -> None:
    """Even where both say the same: two readers may take one each."""
    assert reason({"code": ["abc"], name: ["a", "a"]}) == f"the answer has {name} more than once"


@pytest.mark.parametrize("iss", ["https://other.example", f"{ISSUER}/", ISSUER.upper(), ""])
def test_hc29_an_answer_of_another_provider_is_none(iss: str) -> None:
    assert reason({"code": ["abc"], "iss": [iss]}) == "the answer is of another provider (iss)"


def test_hc29_who_always_names_itself_is_not_believed_without_a_name() -> None:
    assert reason({"code": ["abc"]}, names_itself=True) == "the answer does not say whose it is (iss)"
    assert reason({"error": ["access_denied"]}, names_itself=True) == "the answer does not say whose it is (iss)"


def test_hc29_another_provider_cannot_say_that_it_was_not_allowed_either() -> None:
    assert reason({"error": ["access_denied"], "iss": ["https://other.example"]})


@pytest.mark.parametrize("error", ["access_denied", "user_denied"])
def test_hc31_who_did_not_allow_it_is_told_so(error: str) -> None:
    with pytest.raises(OAuthDenied):
        read({"error": [error], "code": ["abc"]})


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
def test_hc31_who_cannot_now_may_later(error: str) -> None:
    with pytest.raises(OAuthUnavailable) as refused:
        read({"error": [error]})

    assert refused.value.reason == f"the provider answered {error}"


@pytest.mark.parametrize("error", ["invalid_request", "unauthorized_client", "login_required"])
def test_hc31_another_error_is_told_to_the_operator(error: str) -> None:
    assert reason({"error": [error], "code": ["abc"]}) == f"the provider answered {error}"


@pytest.mark.parametrize("error", ["", "<script>", "a\nb", "x" * 65, "é", None, {}], ids=range(7))
def test_what_is_no_code_of_an_error_is_not_repeated(error: object) -> None:
    assert shown(error) == "an error"
