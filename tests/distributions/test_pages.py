"""A stranger's forms stand on our pages, with templates of its own distribution."""

from sigra.testing import EMAIL, PASSWORD

PAGE = {"accept": "text/html"}


async def test_a_person_signs_in_by_the_form_of_a_stranger(house):
    browser = (await house()).client().as_browser()
    page = await browser.get("/auth/login", headers=PAGE)
    wrong = await browser.post("/auth/badge", data={"number": "4711", "pin": "1357"})
    right = await browser.post("/auth/badge", data={"number": "4711", "pin": "2468"})

    assert page.text.index('name="password"') < page.text.index('<p class="or">or</p>') < page.text.index('name="pin"')
    assert wrong.status_code == 401
    assert wrong.text.count("The sign-in details are not right.") == 1
    assert 'value="4711"' in wrong.text and "1357" not in wrong.text
    assert (right.status_code, right.headers["location"]) == (303, "/auth/account")
    assert (await browser.get("/")).json()["user"]["email"] == EMAIL


async def test_a_person_meets_the_challenge_of_a_stranger_on_our_page(house):
    browser = (await house(badge={"required": True})).client().as_browser()
    challenged = await browser.post("/auth/login", data={"email": EMAIL, "password": PASSWORD})
    page = await browser.get(challenged.headers["location"], headers=PAGE)
    wrong = await browser.post("/auth/login/badge", data={"pin": "1357"})
    right = await browser.post("/auth/login/badge", data={"pin": "2468"})

    assert challenged.headers["location"] == "/auth/login/challenge"
    assert "PIN of your badge" in page.text
    assert wrong.status_code == 401
    assert "That was not right. Try again." in wrong.text and "PIN of your badge" in wrong.text
    assert (right.status_code, right.headers["location"]) == (303, "/auth/account")
