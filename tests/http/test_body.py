"""Bodies: one mapping, read strictly and once."""

import contextlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field
from starlette.requests import Request

from sigra.errors import Malformed, PayloadTooLarge, UnsupportedMediaType, ValidationFailed
from sigra.http import body
from sigra.http.body import read_mapping, validate

JSON = ("content-type", "application/json")
FORM = ("content-type", "application/x-www-form-urlencoded")
MULTIPART = ("content-type", "multipart/form-data; boundary=b")


def messages(*chunks):
    left = list(chunks)

    async def receive():
        chunk = left.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    return receive


@pytest.fixture
def request_of(http_scope):
    def make(content, *headers):
        return Request(http_scope(*headers), messages(content.encode() if isinstance(content, str) else content))

    return make


def multipart(*parts):
    return "".join(f"--b\r\ncontent-disposition: form-data; {part}\r\n" for part in parts) + "--b--\r\n"


async def test_a_json_object_is_its_members(request_of):
    request = request_of('{"email": "a@b", "n": 1, "f": 1.5, "l": [true, null], "o": {"x": "\\u00e9"}}', JSON)

    assert await read_mapping(request) == {"email": "a@b", "n": 1, "f": 1.5, "l": [True, None], "o": {"x": "é"}}


async def test_a_form_is_its_fields(request_of):
    request = request_of("email=a%40b&password=x+y%20z&empty=&bare&u=%E2%9C%93", FORM)

    assert await read_mapping(request) == {"email": "a@b", "password": "x y z", "empty": "", "bare": "", "u": "✓"}


async def test_a_multipart_form_is_its_fields(request_of):
    request = request_of(multipart('name="email"\r\n\r\na@b', 'name="note"\r\n\r\n✓ é'), MULTIPART)

    assert await read_mapping(request) == {"email": "a@b", "note": "✓ é"}


async def test_no_body_and_no_content_type_is_empty(request_of):
    assert await read_mapping(request_of("")) == {}


async def test_an_empty_form_is_empty(request_of):
    assert await read_mapping(request_of("", FORM)) == {}


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8", 'application/json; charset="utf-8"',
     "application/json ; boundary=x"],
)  # fmt: skip
async def test_json_in_utf8_is_taken(request_of, kind):
    assert await read_mapping(request_of('{"a": 1}', ("content-type", kind))) == {"a": 1}


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "text/plain; charset=utf-8", "text/json", "application/jsonp", "application/json+x",
     "application/xml",
     "application/vnd.api+json", "application/json, text/plain", "application/json; charset=utf-16",
     "application/json; charset=latin-1", "application/x-www-form-urlencoded; charset=latin-1",
     "multipart/mixed; boundary=b", "multipart/form-data; boundary=b; charset=latin-1", "x", "/", ";", "\xff"],
)  # fmt: skip
async def test_hc35_any_other_type_is_unsupported(request_of, kind):
    with pytest.raises(UnsupportedMediaType):
        await read_mapping(request_of('{"a": 1}', ("content-type", kind)))


async def test_hc35_a_plain_text_without_content_is_unsupported_too(request_of):
    with pytest.raises(UnsupportedMediaType):
        await read_mapping(request_of("", ("content-type", "text/plain;charset=UTF-8")))


async def test_hc35_a_body_without_a_type_is_unsupported(request_of):
    with pytest.raises(UnsupportedMediaType):
        await read_mapping(request_of('{"a": 1}'))


async def test_hc35_two_types_are_unsupported(request_of):
    with pytest.raises(UnsupportedMediaType):
        await read_mapping(request_of('{"a": 1}', JSON, ("content-type", "text/plain")))


async def test_hc43_a_compressed_body_is_unsupported(request_of):
    with pytest.raises(UnsupportedMediaType):
        await read_mapping(request_of('{"a": 1}', JSON, ("content-encoding", "gzip")))


def nested(depth):
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


@pytest.mark.parametrize(
    "content",
    [
        "", " ", "{", "}", "nul", "null", "true", "1", '"a"', "[]", '[{"a":1}]', '{"a":1}{"a":1}', '{"a":1}]',
        "{'a':1}",
        '{"a":1,}', "{a:1}", '{"a":}', '{"a":01}', '{"a":1} x', '\ufeff{"a":1}', '{"a":"\n"}', '{"a": "\\x"}',
        '{"a": .5}',
        # doubled members
        '{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"o":{"a":1,"a":2}}', '{"l":[{"a":1,"a":2}]}',
        # numbers that readers differ on, or that cost
        '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', '{"a":1e999}', '{"a":-1e999}', '{"a":9007199254740992}',
        '{"a":-9007199254740992}', '{"a":%s}' % ("9" * 4000), '{"a":%s}' % ("9" * 60000), '{"a":[-%s]}' % ("9" * 60000),
        # text that is none
        '{"a":"\\u0000"}', '{"\\u0000":1}', '{"a":"\x00"}', '{"a":"\\ud800"}', '{"a":["\\udfff"]}', '{"\\ud800":1}',
        '{"a":"\\ude00\\ud83d"}',
        b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xc0\x80"}', '{"a":1}'.encode("utf-16"),
        b'\xef\xbb\xbf{"a":1}',
        # depth
        nested(17), "[" * 17 + "]" * 17, '{"a":' + "[" * 16 + "]" * 16 + "}", "[" * 60000, '{"a":' * 12000,
        "[{" * 30000,
        '{"a":"' + '\\"' * 30000, '"' + "[" * 60000,
    ],
)  # fmt: skip
async def test_hc43_json_that_is_not_strict_is_malformed(request_of, content):
    with pytest.raises(Malformed):
        await read_mapping(request_of(content, JSON))


@pytest.mark.parametrize("content", [nested(17), '{"a":' + "[" * 16 + "]" * 16 + "}"])
async def test_hc43_json_deeper_than_sixteen_is_malformed(request_of, content):
    with pytest.raises(Malformed):
        await read_mapping(request_of(content, JSON))


@pytest.mark.parametrize(
    "content",
    [nested(16), '{"a":"' + "[{" * 20000 + '"}', '{"a":"\\\\\\"[[[[[[[[[[[[[[[[[[[["}', '{"a":9007199254740991}',
     '{"a":-9007199254740991}', '{"a":"\\ud83d\\ude00"}', '{"a":[' + "{}," * 500 + "{}]}", '{"a":1e10}', '{"a":-0}'],
)  # fmt: skip
async def test_json_at_the_bounds_is_taken(request_of, content):
    assert await read_mapping(request_of(content, JSON)) == json.loads(content)


@pytest.mark.parametrize(
    "content",
    ["a=1&a=1", "a=1&a=2", "a=1&%61=2", "a&a", "a=%ff", "%ff=1", "a=%00", "%00=1", "a=\x00", "a=%ed%a0%80", b"a=\xff",
     "&".join(f"f{n}=1" for n in range(65)), "&" * 60000],
)  # fmt: skip
async def test_hc43_a_form_that_is_ambiguous_is_malformed(request_of, content):
    with pytest.raises(Malformed):
        await read_mapping(request_of(content, FORM))


@pytest.mark.parametrize(
    "content",
    [
        multipart('name="a"\r\n\r\n1', 'name="a"\r\n\r\n2'),
        multipart('name="a"; filename="x.txt"\r\n\r\n1'),
        multipart('name="a"; filename=""\r\n\r\n'),
        multipart("x=y\r\n\r\n1"),
        multipart('name="a"\r\n\r\n\x00'),
        multipart('name="a"\r\n\r\n').encode() + b"\xff",
        multipart('name="a"\r\n\r\n?').encode().replace(b"?", b"\xe9"),
        multipart(*(f'name="f{n}"\r\n\r\n1' for n in range(65))),
        "garbage",
        "--b\r\n\r\n1\r\n--b--\r\n",
        "--b\r\ncontent-disposition\r\n\r\n1\r\n--b--\r\n",
    ],
)
async def test_hc43_a_multipart_form_that_is_ambiguous_or_has_files_is_malformed(request_of, content):
    with pytest.raises(Malformed):
        await read_mapping(request_of(content, MULTIPART))


async def test_hc43_a_multipart_form_without_boundary_is_malformed(request_of):
    with pytest.raises(Malformed):
        await read_mapping(request_of(multipart('name="a"\r\n\r\n1'), ("content-type", "multipart/form-data")))


async def test_hc43_a_body_that_ends_early_is_malformed(http_scope):
    with pytest.raises(Malformed):
        await read_mapping(Request(http_scope(JSON), messages(b'{"a":', None)))


async def test_a_body_is_read_once_for_all_readers(http_scope):
    scope = http_scope(JSON)
    first = Request(scope, messages(b'{"a": ', b"1}"))
    read = await read_mapping(first)
    read["b"] = 2

    assert await read_mapping(first) == {"a": 1}
    assert await read_mapping(Request({**scope, "path_params": {}}, messages())) == {"a": 1}


async def test_a_body_that_a_handler_took_itself_is_still_read(http_scope):
    request = Request(http_scope(JSON), messages(b'{"a": 1}'))
    await request.body()

    assert await read_mapping(request) == {"a": 1}


@pytest.mark.parametrize("error", [PayloadTooLarge(), Malformed()])
async def test_what_is_wrong_with_a_body_is_told_to_every_reader(http_scope, error):
    scope = http_scope(JSON)
    with pytest.raises(type(error)):
        await read_mapping(Request(scope, messages(error)))

    with pytest.raises(type(error)):
        await read_mapping(Request(scope, messages(b'{"a": 1}')))


async def test_hc50_two_requests_do_not_share_a_body(http_scope):
    assert await read_mapping(Request(http_scope(JSON), messages(b'{"a": 1}'))) == {"a": 1}
    assert await read_mapping(Request(http_scope(JSON), messages(b'{"a": 2}'))) == {"a": 2}


KINDS = st.sampled_from([JSON[1], FORM[1], MULTIPART[1], "multipart/form-data; boundary=", "multipart/form-data"])
PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"--b", b"--b--", b"\r\n", b"\n", b"content-disposition: form-data; ", b'name="a"', b"name", b"=", b";", b"&",
         b"%",
         b'filename="x"', b"{", b"}", b"[", b'"', b":", b"a", b"1", b",", b"\\", b"\\u0000",
         b"content-type: text/plain",
         b"content-transfer-encoding: base64", b"NaN"]
    ),
)  # fmt: skip


@given(KINDS, st.lists(PIECES, max_size=12).map(b"".join))
@hypothesis_settings(max_examples=300)
async def test_hc43_no_body_is_an_error_of_ours(kind, content):
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", kind.encode())]}
    read = {}
    with contextlib.suppress(Malformed, UnsupportedMediaType):
        read = await read_mapping(Request(scope, messages(content)))

    assert all(isinstance(name, str) and "\0" not in name for name in read)


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int


def quote_back(text: str) -> str:
    if text:
        raise ValueError(f"{text} will not do")
    return text


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: EmailStr
    password: Annotated[str, Field(max_length=8)]
    remember: bool = False
    kind: Literal["a", "b"] = "a"
    quoted: Annotated[str, AfterValidator(quote_back)] = ""
    inner: Inner | None = None
    labels: dict[str, int] = {}


GOOD = {"email": "a@example.com", "password": "x"}


def errors_of(**changes):
    with pytest.raises(ValidationFailed) as raised:
        validate(Model, GOOD | changes)
    return [(entry.field, entry.code, entry.message) for entry in raised.value.errors]


def test_data_that_fits_is_a_model():
    assert validate(Model, GOOD | {"remember": "on"}) == Model(email="a@example.com", password="x", remember=True)


def test_every_wrong_field_has_one_entry_in_order():
    with pytest.raises(ValidationFailed) as raised:
        validate(Model, {"password": "x" * 9, "inner": {"number": "x"}})

    assert [(entry.field, entry.code) for entry in raised.value.errors] == [
        ("email", "missing"),
        ("password", "string_too_long"),
        ("inner.number", "int_parsing"),
    ]


def test_a_text_of_the_model_alone_is_told():
    assert errors_of(password="x" * 9) == [("password", "string_too_long", "String should have at most 8 characters.")]


def test_hc38_no_entry_quotes_the_input():
    told = errors_of(
        email="a@can_ary.canary",
        kind="canary",
        quoted="canary",
        labels={"can ary": "canary", "<canary>": 1.5},
        canary="canary",
    )

    assert [field for field, _, _ in told] == ["email", "kind", "quoted", "labels", ""]
    assert "canary" not in repr(told)


def test_hc9_an_unknown_field_is_refused():
    assert errors_of(is_admin=True) == [("", "extra_forbidden", "There is a field that is not known here.")]
    assert errors_of(inner={"number": 1, "id": 2})[0][:2] == ("inner", "extra_forbidden")


def test_hc21_the_input_is_not_in_the_error_nor_behind_it():
    with pytest.raises(ValidationFailed) as raised:
        validate(Model, GOOD | {"password": "canary-canary"})

    assert "canary" not in f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r}"


def test_the_body_lies_under_one_key():
    assert body.KEY == "sigra.body"


# A form can say only text


class Wanted(BaseModel):
    name: str | None = None
    words: Annotated[list[Annotated[str, Field(max_length=3)]], Field(max_length=4)] = []
    more: list[str] | None = None
    number: int | None = None
    at: datetime | None = None
    agreed: bool = False
    anything: Any = "unsaid"


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("words", "a b", ["a", "b"]),
        ("words", " a,b,, c\n", ["a", "b", "c"]),
        ("words", "", []),
        ("more", "a b", ["a", "b"]),
        ("number", "7", 7),
        ("number", "", None),
        ("at", "", None),
        ("agreed", "", False),
        ("agreed", "true", True),
        ("name", "", ""),
        ("name", "a b", "a b"),
        ("anything", "", ""),
    ],
)
def test_a_field_of_a_form_is_read_as_what_is_wanted(field: str, text: str, value: object):
    assert getattr(validate(Wanted, {field: text}), field) == value


@pytest.mark.parametrize(("field", "text"), [("words", "abcd"), ("words", "a b c d e"), ("number", "x"), ("at", " ")])
def test_hc25_what_a_form_says_is_held_to_the_same_bounds(field: str, text: str):
    with pytest.raises(ValidationFailed):
        validate(Wanted, {field: text})


def test_values_that_are_no_text_are_kept():
    assert validate(Wanted, {"agreed": False, "number": 0, "words": []}).model_fields_set == {
        "agreed",
        "number",
        "words",
    }


def test_a_text_is_no_list_in_json():
    with pytest.raises(ValidationFailed):
        validate(Wanted, {"words": "a b"}, strict=True)
