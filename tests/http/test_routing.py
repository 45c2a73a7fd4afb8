"""Routes: found by path and method over all plugins, compared at start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette import routing
from starlette.responses import Response
from starlette.routing import Host, Mount, NoMatchFound, WebSocketRoute

from sigra.errors import MethodNotAllowed, NotFound
from sigra.http.routing import Route, RouteTable, overlap


async def endpoint(request):
    return Response()


async def socket(websocket):
    return None


class Anything:
    async def __call__(self, scope, receive, send):
        return None


def get(path, **more):
    return Route(path, endpoint, methods=["GET"], **more)


def post(path, **more):
    return Route(path, endpoint, methods=["POST"], **more)


PAGE, LOGIN, ONE, ALL = (get("/login"), post("/login"), get("/sessions/{id}"), get("/sessions"))
END = Route("/sessions/{id:uuid}", endpoint, methods=["DELETE"])
STEP, LIVE = get("/steps/{n:int}", name="step"), WebSocketRoute("/live", socket)
TABLE = RouteTable([PAGE, LOGIN, ONE, ALL, END, STEP, LIVE])


def test_a_path_is_shared_by_method(http_scope):
    assert TABLE.match(http_scope(method="GET", path="/login")).route is PAGE
    assert TABLE.match(http_scope(method="POST", path="/login")).route is LOGIN


def test_head_is_get(http_scope):
    assert TABLE.match(http_scope(method="HEAD", path="/login")).route is PAGE


def test_a_parameter_is_in_the_child_scope(http_scope):
    route, child = TABLE.match(http_scope(method="GET", path="/steps/7"))

    assert route is STEP
    assert child["path_params"] == {"n": 7}


def test_the_path_is_what_follows_the_mount_path(http_scope):
    assert TABLE.match(http_scope(path="/auth/login", root_path="/auth")).route is LOGIN


def test_a_websocket_has_its_own_routes(http_scope):
    scope = {**http_scope(path="/live"), "type": "websocket"}

    assert TABLE.match(scope).route is LIVE
    with pytest.raises(NotFound):
        TABLE.match(http_scope(method="GET", path="/live"))
    with pytest.raises(NotFound):
        TABLE.match({**scope, "path": "/login"})


@pytest.mark.parametrize(
    "path",
    ["/", "", "/logi", "/login/", "//login", "/LOGIN", "/login\n", "/sessions/", "/sessions/a/b", "/steps/x",
     "/steps/-1",
     "/steps/\u0664", "/steps/" + "9" * 5000, "/steps/7\n"],
)  # fmt: skip
def test_an_unknown_path_is_not_found(http_scope, path):
    with pytest.raises(NotFound):
        TABLE.match(http_scope(method="GET", path=path))


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/login", ("GET", "HEAD", "OPTIONS", "POST")),
        ("OPTIONS", "/login", ("GET", "HEAD", "OPTIONS", "POST")),
        ("post", "/login", ("GET", "HEAD", "OPTIONS", "POST")),
        ("POST", "/sessions/0198c0de-0000-7000-8000-000000000000", ("DELETE", "GET", "HEAD", "OPTIONS")),
        ("DELETE", "/sessions/none", ("GET", "HEAD", "OPTIONS")),
    ],
)
def test_a_wrong_method_is_told_what_all_routes_of_the_path_allow(http_scope, method, path, allow):
    with pytest.raises(MethodNotAllowed) as raised:
        TABLE.match(http_scope(method=method, path=path))

    assert raised.value.allow == allow


def test_a_route_may_take_options_itself(http_scope):
    own = Route("/login", endpoint, methods=["OPTIONS"])

    assert RouteTable([PAGE, own]).match(http_scope(method="OPTIONS", path="/login")).route is own


def test_hc35_a_route_takes_foreign_posts_only_if_it_says_so(http_scope):
    table = RouteTable([post("/callback", cross_origin=True), post("/login"), routing.Route("/plain", endpoint)])

    assert table.match(http_scope(path="/callback")).cross_origin
    assert not table.match(http_scope(path="/login")).cross_origin
    assert not table.match(http_scope(path="/plain", method="GET")).cross_origin


def test_hc25_a_route_is_open_to_keys_only_if_it_says_so(http_scope):
    table = RouteTable([get("/session", any_identity=True), get("/sessions"), routing.Route("/plain", endpoint)])

    assert table.match(http_scope(path="/session", method="GET")).any_identity
    assert not table.match(http_scope(path="/sessions", method="GET")).any_identity
    assert not table.match(http_scope(path="/plain", method="GET")).any_identity


def test_a_route_has_an_address_by_name():
    assert TABLE.url_path_for("step", n=3) == "/steps/3"
    with pytest.raises(NoMatchFound):
        TABLE.url_path_for("nowhere")


@pytest.mark.parametrize(
    "route",
    [Mount("/admin", Anything()), Mount("/x", routes=[PAGE]), Host("evil.test", Anything()), routing.BaseRoute()],
)
def test_hc48_what_cannot_be_compared_is_refused(route):
    with pytest.raises(ValueError, match="list the routes in it one by one"):
        RouteTable([PAGE, route])
    with pytest.raises(ValueError, match="list the routes in it one by one"):
        overlap(PAGE, route)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("/login", "/login", True),
        ("/login", "/logout", False),
        ("/login", "/login/", False),
        ("/sessions", "/sessions/{id}", False),
        ("/sessions/{id}", "/sessions/{other}", True),
        ("/sessions/{id}", "/sessions/current", True),
        ("/sessions/{id}", "/keys/{id}", False),
        ("/sessions/{id}/x", "/sessions/{id}/y", False),
        ("/sessions/{id:int}", "/sessions/current", False),
        ("/sessions/{id:int}", "/sessions/12", True),
        ("/sessions/{id:int}", "/sessions/{id}", True),
        ("/sessions/{id:uuid}", "/sessions/current", False),
        ("/{a}/b", "/a/{b}", True),
        ("/{a}/b/c", "/a/{b}/d", False),
        ("/v{n}", "/v1", True),
        ("/v{n}", "/w1", False),
        ("/a.b", "/axb", False),
        ("/files/{rest:path}", "/files/a/b", True),
        ("/files/{rest:path}", "/files/", True),
        ("/files/{rest:path}", "/other/a", False),
        ("/files/{rest:path}/end", "/files/{x}", True),
        ("/{rest:path}", "/login", True),
        ("/", "/", True),
    ],
)
def test_hc48_routes_overlap_when_a_request_fits_both(a, b, expected):
    assert overlap(get(a), get(b)) is expected
    assert overlap(get(b), get(a)) is expected


def test_hc48_routes_of_different_methods_do_not_overlap():
    assert not overlap(get("/login"), post("/login"))
    assert overlap(get("/login"), Route("/login", endpoint, methods=["HEAD"]))
    assert overlap(Route("/x", endpoint, methods=["PUT", "POST"]), post("/x"))


def test_hc48_a_route_of_every_method_overlaps_each():
    assert overlap(routing.Route("/login", Anything()), post("/login"))


def test_hc48_a_websocket_overlaps_only_websockets():
    assert not overlap(WebSocketRoute("/login", socket), get("/login"))
    assert overlap(WebSocketRoute("/{x}", socket), WebSocketRoute("/live", socket))


SEGMENTS = st.sampled_from(["a", "b", "1", "", "{p}", "{p:int}", "x{p}", "{p:path}"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(part.replace("p", f"p{n}", 1) if "{" in part else part for n, part in enumerate(parts))
)


@given(PATHS, PATHS, st.lists(st.sampled_from(["a", "b", "1", "", "x1", "xa"]), min_size=1, max_size=4))
def test_hc48_no_request_fits_two_routes_that_do_not_overlap(a, b, segments):
    scope = {"type": "http", "method": "GET", "path": "/" + "/".join(segments)}
    ours, theirs = get(a), get(b)
    both = all(route.matches(scope)[0] is routing.Match.FULL for route in (ours, theirs))

    assert not both or overlap(ours, theirs)
