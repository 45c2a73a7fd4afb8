"""Problems: what an error says, and nothing of the request."""

import json

import pytest

from sigra.errors import (
    CrossOrigin,
    FieldError,
    InsufficientScope,
    InvalidCredentials,
    InvalidToken,
    MethodNotAllowed,
    SigraError,
    TooManyAttempts,
    Unauthenticated,
    ValidationFailed,
)
from sigra.http.problems import problem


def test_a_problem_has_the_members_of_the_contract():
    response = problem(CrossOrigin())

    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body) == {
        "type": "urn:sigra:error:cross_origin",
        "title": "Cross-origin request",
        "status": 403,
        "code": "cross_origin",
        "detail": "The request comes from another origin.",
    }


def test_wrong_fields_are_listed():
    response = problem(ValidationFailed([FieldError("email", "missing", "Field required.")]))

    assert response.status_code == 422
    assert json.loads(response.body)["errors"] == [{"field": "email", "code": "missing", "message": "Field required."}]


def test_an_error_brings_its_headers():
    assert problem(TooManyAttempts(7)).headers["retry-after"] == "7"
    assert problem(MethodNotAllowed(["GET", "HEAD"])).headers["allow"] == "GET, HEAD"
    assert problem(InsufficientScope()).headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


def test_status_and_headers_may_be_given():
    response = problem(InvalidToken(), status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    assert response.status_code == json.loads(response.body)["status"] == 401
    assert response.headers.getlist("www-authenticate") == ['Bearer error="invalid_token"']


@pytest.mark.parametrize("error", [Unauthenticated(), InvalidCredentials()])
def test_every_401_names_a_scheme(error):
    assert problem(error).headers["www-authenticate"] == 'Bearer realm="sigra"'


def test_no_other_status_names_a_scheme():
    assert "www-authenticate" not in problem(CrossOrigin()).headers


def test_hc38_no_problem_is_stored():
    assert problem(Unauthenticated()).headers.get("cache-control") == "no-store"


def test_hc38_a_problem_is_ascii_and_cannot_break_out():
    body = problem(SigraError('</script>\u2028é"\r\n\ud800')).body

    assert body.isascii()
    assert json.loads(body)["detail"] == '</script>\u2028é"\r\n\ud800'


def test_a_plugins_error_is_a_problem_of_its_own():
    class OnHoliday(SigraError):
        code, status, title = "holiday", 403, "On holiday"

    assert json.loads(problem(OnHoliday()).body)["type"] == "urn:sigra:error:holiday"
