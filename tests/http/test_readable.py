"""Values as people read them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from sigra.http.readable import browser, moment

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36", "Chrome on Linux"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/140.0.0.0 Safari/537.36", "Chrome on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 OPR/120.0", "Opera on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on macOS"),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {WEBKIT} Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        (f"Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) {WEBKIT} CriOS/140.0 Safari/604.1", "Chrome on iPad"),
        (f"Mozilla/5.0 (Linux; Android 15) {WEBKIT} SamsungBrowser/28.0 Chrome/130.0", "Samsung Internet on Android"),
        ("curl/8.14.1", "curl"),
        ("<script>alert(1)</script>", "Unknown browser"),
        ("", "Unknown browser"),
        (None, "Unknown browser"),
    ],
)
def test_a_browser_is_told_in_a_few_words(user_agent: str | None, words: str) -> None:
    assert browser(user_agent) == words


def test_a_moment_is_told_in_utc() -> None:
    at = datetime(2026, 3, 7, 1, 5, tzinfo=timezone(timedelta(hours=2)))

    assert moment(at) == "6 Mar 2026, 23:05 UTC"
    assert moment("2026-03-06T23:05:59.5Z") == "6 Mar 2026, 23:05 UTC"
    assert moment(datetime(2026, 12, 25, tzinfo=UTC)) == "25 Dec 2026, 00:00 UTC"
