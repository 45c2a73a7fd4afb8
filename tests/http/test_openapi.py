"""The OpenAPI document: made of the routes and models that the code uses, so that neither can go its own way."""

import json
from importlib.metadata import version
from typing import Annotated, Any

import pytest
from openapi_spec_validator import validate
from pydantic import AwareDatetime, BaseModel, Field
from starlette import routing
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse, Response
from starlette.routing import WebSocketRoute
from typing_extensions import TypedDict

from sigra import ConfigurationError, Refused, Route, Sigra, hookimpl
from sigra.answers import HTML, SIGN_IN, Problem
from sigra.testing import cheap_settings, make_api_key, make_user
from tests.apps import running


class Swipe(BaseModel):
    """A card at the reader.

    Args:
        card: Its number.
    """

    card: Annotated[str, Field(max_length=16)]
    keep: bool = False


class Door(TypedDict):
    """A door that opened."""

    open: bool


class Closed(Refused):
    code, status = "badge_closed", 451


async def swipe(request: Any) -> Response:
    """POST /badge: open a door.

    It closes again by itself.

    Args:
        request: As any.
    """
    return JSONResponse({"open": True})


async def bare(request: Any) -> Response:
    return Response("as you like")


class Badge:
    name = "badge"
    api = 1
    errors = (Closed,)

    def __init__(self, *routes):
        self.routes = routes

    @hookimpl
    def register_routes(self):
        return self.routes


def document(*routes, plugins=("defaults",), **options) -> dict[str, Any]:
    return Sigra(cheap_settings(**options), [*plugins, Badge(*routes)]).openapi


def operation(*routes, path="/badge", method="post", **options) -> dict[str, Any]:
    return document(*routes, **options)["paths"][path][method]


DESCRIBED = Route("/badge", swipe, methods=["POST"], body=Swipe, answers={200: Door, 409: Problem})
JSON, FORMS = "application/json", ("application/x-www-form-urlencoded", "multipart/form-data")


def test_the_document_is_valid():
    validate(document(DESCRIBED, Route("/badge", bare), Route("/badge/{rest:path}", bare, methods=["PUT", "PATCH"])))


def test_the_document_of_no_plugin_is_valid():
    validate(Sigra(cheap_settings(), []).openapi)


async def test_anybody_may_read_the_document(tmp_path):
    async with running(f"sqlite:///{tmp_path / 'db'}", mount_path="/account") as client:
        key = await make_api_key(client.sigra, await make_user(client.sigra))
        anonymous = await client.get("/account/openapi.json")
        program = await client.get("/account/openapi.json", headers={"authorization": f"Bearer {key}"})

    assert anonymous.json() == program.json() == client.sigra.openapi
    assert anonymous.json()["servers"] == [{"url": "http://localhost/account"}]


def test_every_route_of_ours_is_described():
    routes = [route for its in Sigra(cheap_settings()).routes.values() for route in its]

    assert routes
    assert [route.path for route in routes if not isinstance(route, Route) or route.answers is None] == []
    assert [route.path for route in routes if "POST" in route.methods and route.body is None] == []


def test_every_route_of_ours_is_told():
    paths = Sigra(cheap_settings()).openapi["paths"]

    assert [path for path, item in paths.items() for one in item.values() if not one["summary"]] == []


def test_operations_have_ids_and_tags_of_their_own():
    paths = document(DESCRIBED)["paths"]
    ids = [one["operationId"] for item in paths.values() for one in item.values()]

    assert len(ids) == len(set(ids))
    assert paths["/sessions/{id}"]["delete"]["operationId"] == "delete_sessions_id"
    assert paths["/sessions/{id}"]["delete"]["tags"] == ["sessions"]
    assert paths["/badge"]["post"]["tags"] == ["badge"]


def test_an_operation_is_told_by_its_docstring_without_the_address():
    told = operation(DESCRIBED)

    assert told["summary"] == "Open a door."
    assert told["description"] == "It closes again by itself."


def test_a_body_may_be_json_or_a_form():
    body = operation(DESCRIBED)["requestBody"]

    assert body["required"] is True
    assert list(body["content"]) == [JSON, *FORMS]
    assert body["content"][JSON]["schema"] == {"$ref": "#/components/schemas/Swipe"}


def test_a_form_has_words_for_a_list_and_nothing_for_what_is_no_text():
    class Order(BaseModel):
        doors: list[str] = []
        until: AwareDatetime | None = None

    told = operation(Route("/badge", swipe, methods=["POST"], body=Order, answers={204: None}))
    fields = told["requestBody"]["content"][FORMS[0]]["schema"]["properties"]

    assert fields["doors"]["type"] == "string"
    assert {"enum": [""]} in fields["until"]["anyOf"]


def test_a_box_of_a_form_may_say_on():
    content = operation(DESCRIBED)["requestBody"]["content"]

    for form in FORMS:
        fields = content[form]["schema"]["properties"]
        assert "on" in fields["keep"]["anyOf"][1]["enum"]
        assert fields["card"] == {"maxLength": 16, "title": "Card", "type": "string"}


def test_a_model_is_told_by_its_first_paragraph():
    assert document(DESCRIBED)["components"]["schemas"]["Swipe"]["description"] == "A card at the reader."


def test_an_operation_lists_the_statuses_that_it_can_give():
    responses = operation(DESCRIBED)["responses"]

    assert list(responses) == [
        "200",
        "303",
        "400",
        "401",
        "403",
        "408",
        "409",
        "413",
        "415",
        "422",
        "429",
        "451",
        "503",
    ]
    assert responses["200"]["content"] == {JSON: {"schema": {"$ref": "#/components/schemas/Door"}}}
    assert responses["451"] == {"$ref": "#/components/responses/Problem451"}


def test_what_has_a_parameter_may_be_absent():
    responses = operation(
        Route("/badge/{id:int}", swipe, methods=["DELETE"], answers={204: None}), path="/badge/{id}", method="delete"
    )["responses"]

    assert "404" in responses
    assert "422" not in responses
    assert "content" not in responses["204"]


@pytest.mark.parametrize(
    ("convertor", "schema"),
    [
        ("", {"type": "string"}),
        (":path", {"type": "string"}),
        (":int", {"type": "integer", "minimum": 0}),
        (":float", {"type": "number", "minimum": 0}),
        (":uuid", {"type": "string", "format": "uuid"}),
    ],
)
def test_a_parameter_has_its_type(convertor, schema):
    told = operation(Route(f"/badge/{{at{convertor}}}", bare), path="/badge/{at}", method="get")

    assert told["parameters"] == [{"name": "at", "in": "path", "required": True, "schema": schema}]


def test_an_answer_may_have_two_faces():
    told = operation(Route("/badge", swipe, answers={200: (Door, HTML)}), method="get")

    assert list(told["responses"]["200"]["content"]) == [JSON, HTML]


def test_a_method_that_html_has_not_is_told_to_forms():
    told = operation(Route("/badge", swipe, methods=["DELETE"], answers={204: None}), method="delete")

    assert "_method=DELETE" in told["description"]


def test_a_problem_tells_its_codes_by_status():
    responses = document(DESCRIBED)["components"]["responses"]
    problem = responses["Problem401"]["content"]["application/problem+json"]

    assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert problem["x-codes"] == [
        "invalid_credentials", "invalid_proof", "invalid_token", "login_expired", "unauthenticated"
    ]  # fmt: skip
    assert "badge_closed" in responses["Problem451"]["description"]
    assert responses["Problem429"]["headers"]["Retry-After"]["required"] is True


def test_problems_have_no_pages_where_no_plugin_has_any():
    [content] = Sigra(cheap_settings(), ["sessions"]).openapi["components"]["responses"]["Problem401"]["content"]

    assert content == "application/problem+json"


@pytest.mark.parametrize(("https", "cookie"), [(True, "__Host-sigra"), (False, "sigra")])
def test_the_session_cookie_has_the_name_that_is_sent(https, cookie):
    made = document(https=https)

    assert made["components"]["securitySchemes"][cookie] == {"type": "apiKey", "in": "cookie", "name": cookie}
    assert made["paths"]["/sessions"]["get"]["security"] == [{cookie: []}]


def test_who_may_ask_is_told():
    paths = document()["paths"]

    assert paths["/session"]["get"]["security"] == [{"sigra": []}, {"bearer": []}]
    assert paths["/login"]["post"]["security"] == [{}, {"sigra": []}]


def test_there_is_no_bearer_scheme_that_nobody_reads():
    assert list(document(plugins=["sessions"])["components"]["securitySchemes"]) == ["sigra"]


@pytest.mark.parametrize(
    "route", [Route("/badge", bare, methods=["POST"]), routing.Route("/badge", bare, methods=["POST"])]
)
def test_a_route_that_says_nothing_is_listed_without_promises(route):
    told = operation(route)

    assert told["responses"] == {"default": {"description": "Not described by the plugin."}}
    assert told["requestBody"]["content"][JSON] == {"schema": {"type": "object"}}
    assert {} in told["security"]


def test_what_the_format_does_not_know_is_left_out():
    assert document(Route("/badge", bare, methods=["PURGE", "PUT", "HEAD"]))["paths"]["/badge"].keys() == {"put"}


def test_a_class_may_take_any_method():
    class Endpoint(HTTPEndpoint):
        """GET /badge: open a door."""

    assert len(document(routing.Route("/badge", Endpoint))["paths"]["/badge"]) == 5


def test_of_two_routes_for_one_address_the_first_is_told():
    told = operation(DESCRIBED, Route("/badge", bare, methods=["POST"]))

    assert told["operationId"] == "post_badge"
    assert told["summary"] == "Open a door."


def test_a_status_without_a_name_is_told_by_its_number():
    class Odd(Refused):
        code, status = "badge_odd", 499

    class Oddly(Badge):
        errors = (Odd,)

    made = Sigra(cheap_settings(), [Oddly(DESCRIBED)]).openapi

    assert made["components"]["responses"]["Problem499"]["description"] == "Status 499: badge_odd."


def test_a_problem_that_no_error_stands_behind_is_described():
    responses = document(Route("/badge", swipe, answers={200: Door, 418: Problem}))["components"]["responses"]

    assert responses["Problem418"]["description"] == "I'm a Teapot"


def test_a_problem_of_a_plugin_leaves_ours_alone():
    class Mine(TypedDict):
        mine: bool

    Mine.__name__ = Mine.__qualname__ = "Problem"
    made = document(Route("/badge", swipe, answers={200: Mine}))
    schema = made["components"]["responses"]["Problem401"]["content"]["application/problem+json"]["schema"]

    assert "detail" in made["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]


def test_which_release_answers_is_not_told():
    assert version("sigra") not in json.dumps(document()["info"])


def test_a_websocket_is_no_operation():
    assert "/badge" not in document(WebSocketRoute("/badge", bare))["paths"]


@pytest.mark.parametrize(
    "route", [Route("/badge", swipe, answers={200: object()}), Route("/badge", swipe, answers={200: Sigra})]
)
def test_a_type_without_a_schema_is_refused_with_plugin_and_route(route):
    with pytest.raises(ConfigurationError, match=r"Plugin badge declares .* on its route /badge"):
        document(route)


@pytest.mark.parametrize("path", ["/openapi.json", "/{page}"])
def test_no_plugin_takes_the_address_of_the_document(path):
    with pytest.raises(ConfigurationError, match="badge"):
        document(Route(path, bare))


def test_two_models_of_one_name_stay_two():
    class Other(BaseModel):
        number: int

    Other.__name__ = Other.__qualname__ = "Swipe"
    made = document(DESCRIBED, Route("/badge/other", bare, methods=["POST"], body=Other, answers={204: None}))
    references = {
        made["paths"][path]["post"]["requestBody"]["content"][JSON]["schema"]["$ref"]
        for path in ("/badge", "/badge/other")
    }

    assert len(references) == 2
    assert {one.rpartition("/")[2] for one in references} <= set(made["components"]["schemas"])


# What is declared is what is done


class Reader(Badge):
    """Reads what it is told to."""

    def __init__(self, model, **declared):
        self.model = model
        super().__init__(Route("/badge", self.read, methods=["POST"], **declared))

    @hookimpl
    def register_routes(self, auth):
        self.auth = auth
        return self.routes

    async def read(self, request):
        return JSONResponse((await self.auth.read(request, self.model)).model_dump(), status_code=201)


class Card(BaseModel):
    card: str


@pytest.mark.parametrize(
    ("declared", "status"),
    [
        ({}, 201),
        ({"body": Swipe}, 201),
        ({"body": Swipe, "answers": {201: Swipe}}, 201),
        ({"body": Card}, 500),
        ({"answers": {201: Door}}, 500),
    ],
)
async def test_another_body_than_the_declared_is_not_read(tmp_path, declared, status):
    async with running(f"sqlite:///{tmp_path / 'db'}", [Reader(Swipe, **declared)]) as client:
        client.event_hooks = {}  # a failure is described by nobody
        response = await client.post("/auth/badge", json={"card": "7"})

    assert response.status_code == status


async def test_a_secured_route_asks_for_somebody_before_its_endpoint_is_asked(tmp_path):
    routes = [Route("/badge", bare, secured=True), Route("/badge/open", bare)]
    async with running(f"sqlite:///{tmp_path / 'db'}", ["defaults", Badge(*routes)]) as client:
        closed, opened = await client.get("/auth/badge"), await client.get("/auth/badge/open")
        await client.sign_in(await make_user(client.sigra))
        signed_in = await client.get("/auth/badge")

    assert (closed.status_code, closed.json()["code"]) == (401, "unauthenticated")
    assert opened.text == signed_in.text == "as you like"


async def test_json_means_what_it_says_and_a_form_is_text(tmp_path):
    async with running(f"sqlite:///{tmp_path / 'db'}", [Reader(Swipe)]) as client:
        words = [await client.post("/auth/badge", json={"card": "7", "keep": keep}) for keep in ("on", 1, "true")]
        ticked = await client.post("/auth/badge", data={"card": "7", "keep": "on"})

    assert [response.json()["errors"][0]["code"] for response in words] == ["bool_type"] * 3
    assert ticked.json() == {"card": "7", "keep": True}


def test_a_sign_in_is_described_by_one_word():
    told = operation(Route("/badge", swipe, methods=["POST"], body=Swipe, answers=SIGN_IN))

    assert {"200", "202", "303", "409"} <= set(told["responses"])
