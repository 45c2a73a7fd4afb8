"""The sign-in page: for people, without a script."""

from sigra.testing import make_user
from tests.apps import running


async def test_the_page_shows_the_form_and_nothing_of_the_query_unescaped() -> None:
    async with running("sqlite:///:memory:") as client:
        response = await client.get("/auth/login", params={"next": '"><script>alert(1)</script>'})

    assert response.status_code == 200
    assert '<form method="post" action="/auth/login?next=' in response.text
    assert "<script" not in response.text


async def test_whoever_is_signed_in_is_offered_to_sign_out() -> None:
    async with running("sqlite:///:memory:") as client:
        await client.sign_in(await make_user(client.sigra))
        response = await client.get("/auth/login")

    assert "ada@example.com" in response.text
    assert 'action="/auth/logout"' in response.text


async def test_hc38_the_style_is_served_and_every_page_is_under_a_strict_policy() -> None:
    async with running("sqlite:///:memory:") as client:
        style = await client.get("/auth/style.css")
        page = await client.get("/auth/login")

    assert style.headers["content-type"].startswith("text/css")
    assert "default-src 'none'" in page.headers.get("content-security-policy", "")
    assert "frame-ancestors 'none'" in page.headers.get("content-security-policy", "")
    assert page.headers.get("cache-control") == "no-store"
    assert page.headers.get("referrer-policy") == "same-origin"
    assert page.headers.get("x-content-type-options") == "nosniff"


async def test_without_the_pages_plugin_forms_get_problems() -> None:
    async with running("sqlite:///:memory:", ["defaults", "-pages"]) as client:
        page = await client.get("/auth/login")
        post = await client.post("/auth/login", data={"email": "a@example.com", "password": "x"})

    assert page.status_code == 405
    assert post.status_code == 401
    assert post.json()["code"] == "invalid_credentials"
