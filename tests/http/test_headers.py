"""The mount path's headers."""

import base64
import hashlib

import pytest

from sigra.http.headers import MOUNT_HEADERS, mount_headers, script_hash


def policy(*hashes):
    directives = mount_headers(hashes)["content-security-policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


def test_hc38_answers_are_not_stored_framed_sniffed_or_told_elsewhere():
    headers = mount_headers()

    assert headers.get("cache-control") == "no-store"
    assert headers.get("x-frame-options") == "DENY"
    assert headers.get("x-content-type-options") == "nosniff"
    assert headers.get("referrer-policy") == "same-origin"
    assert dict(MOUNT_HEADERS) == headers


def test_hc38_a_page_loads_and_posts_only_to_its_own_origin():
    assert policy() == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


def test_hc38_only_scripts_of_a_known_hash_run():
    digest = script_hash("go()")

    assert digest == "sha256-" + base64.b64encode(hashlib.sha256(b"go()").digest()).decode()
    assert policy(digest, script_hash("stop()"))["script-src"] == f"'{digest}' '{script_hash('stop()')}'"


@pytest.mark.parametrize(
    "item", ["", "unsafe-inline", "'unsafe-inline'", "sha256-", "sha256-a; img-src *", "sha1-abcd", "*"]
)
def test_hc38_what_is_no_hash_allows_no_script(item):
    with pytest.raises(ValueError, match="by its hash"):
        mount_headers([item])


def test_hc50_the_headers_are_nobodys_to_change():
    with pytest.raises(TypeError):
        MOUNT_HEADERS["cache-control"] = "public"
