"""Comparing answers and times: no false alarm, and none too few."""

from __future__ import annotations

import random
import statistics

import httpx2
import pytest

from sigra.attack import Broken, NotTested
from sigra.attack.attacks.limits import WINDOW, Minute
from sigra.attack.attacks.redirects import stays
from sigra.attack.comparing import SHIFTS, difference, differs, resolution, score

PAIRS = 24


def noise(seed: int, milliseconds: float = 3.0) -> list[float]:
    """Differences of pairs that do not differ: mostly small, now and then a pause."""
    chance = random.Random(seed)
    return [
        chance.gauss(0, milliseconds) + chance.choice([0] * 9 + [40]) * chance.choice([-1, 1]) for _ in range(PAIRS)
    ]


def test_noise_raises_no_alarm_twice():
    alarms = sum(differs(noise(seed)) and differs(noise(-seed - 1)) for seed in range(3_000))

    assert alarms == 0


@pytest.mark.parametrize("later", [50.0, -50.0])
def test_a_difference_beyond_the_noise_is_seen(later: float):
    assert all(differs([one + later for one in noise(seed)]) for seed in range(200))


def test_the_resolution_is_what_would_have_been_seen():
    for seed in range(50):
        pairs, least = noise(seed), resolution(noise(seed))
        middle = statistics.median(pairs)

        assert least in SHIFTS
        assert differs([one - middle + least for one in pairs])


def test_where_noise_drowns_all_nothing_is_said_to_be_seen():
    assert resolution(noise(1, milliseconds=2_000)) is None


def test_equal_times_have_no_score():
    assert score([0.0] * PAIRS) == 0
    assert not differs([0.0] * PAIRS)


def answer(status: int = 200, text: str = "{}", **headers: str) -> httpx2.Response:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return httpx2.Response(status, headers=named, text=text)


def test_what_is_new_in_every_answer_is_no_difference():
    one = answer(text='{"login_token": "' + "a" * 43 + '"}', date="now", set_cookie="sigra=" + "a" * 43 + "; Path=/")
    other = answer(text='{"login_token": "' + "b" * 43 + '"}', date="then", set_cookie="sigra=" + "b" * 43 + "; Path=/")

    assert difference(one, other) is None


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (answer(404), "status 200 and 404"),
        (answer(text='{"a": 1}'), "body"),
        (answer(x_account="1"), "x-account"),
        (answer(set_cookie="known=1; Path=/"), "cookies"),
        (answer(text='{"login_token": "' + "b" * 43 + '"}'), "body"),
    ],
)
def test_anything_else_is_one(other: httpx2.Response, told: str):
    assert difference(answer(), other) == told


@pytest.mark.parametrize(
    "location",
    ["/", "/account?x=//evil.example", "http://localhost:8000/a", "account", "/a//b", "http:/a", "/%2e%2e/a", "/a/.."],
)
def test_what_stays_is_not_accused(location: str):
    assert stays(location, "http://localhost:8000")


@pytest.mark.parametrize(
    "location",
    [
        *["//evil.example", "/\\evil.example", "\t//evil.example", "/\t/evil.example", "https:evil.example"],
        "http://localhost:8000.evil.example/",
        "http://localhost:8000@evil.example/",
        "javascript:alert(1)",
        "http://localhost:8001/",
        "https://localhost:8000/",
        "/.//evil.example",
        "/%2fevil.example",
        "/\\\\evil.example",
    ],
)
def test_what_leaves_is_seen_as_a_browser_goes(location: str):
    assert not stays(location, "http://localhost:8000")


def test_what_took_longer_than_the_window_is_no_alarm(monkeypatch: pytest.MonkeyPatch):
    minute = Minute()
    soon = minute.broken("too many")
    monkeypatch.setattr(minute, "_begun", minute._begun - WINDOW)

    assert isinstance(soon, Broken)
    assert isinstance(minute.broken("too many"), NotTested)
