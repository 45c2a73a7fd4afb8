"""Codes: the vectors of the standards, another program's verdict, and what people type."""

from __future__ import annotations

import random
import subprocess
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigra_totp.codes import Algorithm, Parameters, drawn, folded, secret_of

SIX = Parameters("SHA1", 6, 30)
SEED = b"12345678901234567890"
RFC_4226 = ("755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489")
RFC_6238 = {
    59: ("94287082", "46119246", "90693936"),
    1111111109: ("07081804", "68084774", "25091201"),
    1111111111: ("14050471", "67062674", "99943326"),
    1234567890: ("89005924", "91819424", "93441116"),
    2000000000: ("69279037", "90698825", "38618901"),
    20000000000: ("65353130", "77737706", "47863826"),
}
SEEDS = {"SHA1": SEED, "SHA256": (SEED * 2)[:32], "SHA512": (SEED * 4)[:64]}
"""Of RFC 6238: the reference implementation in appendix A has a seed of the length of each digest."""

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("counter", "code"), list(enumerate(RFC_4226)))
def test_the_vectors_of_rfc_4226_appendix_d(counter: int, code: str) -> None:
    assert SIX.code(SEED, counter) == code
    assert SIX.match(SEED, code, at(counter * 30), window=0) == counter


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
@pytest.mark.parametrize("seconds", RFC_6238)
def test_the_vectors_of_rfc_6238_appendix_b(algorithm: Algorithm, seconds: int) -> None:
    code = RFC_6238[seconds][get_args(Algorithm).index(algorithm)]

    assert Parameters(algorithm, 8, 30).match(SEEDS[algorithm], code, at(seconds), window=0) == seconds // 30


def test_oathtool_agrees_over_a_thousand_random_secrets_and_times() -> None:
    chance = random.Random(6238)  # the same ones each time
    wrong = []
    for _ in range(1000):
        algorithm, digits = chance.choice(get_args(Algorithm)), chance.choice((6, 8))
        period, seed = chance.randint(15, 120), chance.randbytes(20)
        seconds = chance.randrange(60, 4_000_000_000)
        options = [f"--totp={algorithm.lower()}", f"--digits={digits}", f"--time-step-size={period}s", "--base32"]
        command = ["oathtool", *options, f"--now=@{seconds}", secret_of(seed)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if Parameters(algorithm, digits, period).match(seed, said, at(seconds), window=0) != seconds // period:
            wrong.append((command, said))

    assert wrong == []


# The window


@pytest.mark.parametrize(
    ("window", "steps", "fits"),
    [
        *[(1, -2, False), (1, -1, True), (1, 0, True), (1, 1, True), (1, 2, False)],
        *[(0, -1, False), (0, 0, True), (0, 1, False)],
    ],
)
def test_a_code_fits_within_the_window_alone(window: int, steps: int, fits: bool) -> None:
    step = SIX.step(NOW) + steps

    assert SIX.match(SEED, SIX.code(SEED, step), NOW, window) == (step if fits else None)


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=29, microseconds=999_999)])
def test_a_step_lasts_to_its_last_microsecond(late: timedelta) -> None:
    code = SIX.code(SEED, SIX.step(NOW))

    assert SIX.match(SEED, code, NOW + late, window=0) == SIX.step(NOW)
    assert SIX.match(SEED, code, NOW - timedelta(microseconds=1), window=0) is None
    assert SIX.match(SEED, code, NOW + timedelta(seconds=30), window=0) is None


def test_the_first_step_of_all_has_none_before_it() -> None:
    assert SIX.match(SEED, SIX.code(SEED, 0), at(0), window=1) == 0


@pytest.mark.parametrize("text", ["", "75522", "7552244", "?", "75522?"])
def test_a_text_of_another_length_fits_nothing(text: str) -> None:
    assert SIX.match(SEED, text, at(0), window=1) is None


# What people type

ZEROS = {
    "arabic": 0x660,
    "persian": 0x6F0,
    "devanagari": 0x966,
    "bengali": 0x9E6,
    "thai": 0xE50,
    "full-width": 0xFF10,
    "mathematical": 0x1D7CE,
}


def written(text: str, script: str) -> str:
    return "".join(chr(ZEROS[script] + int(digit)) for digit in text)


@pytest.mark.parametrize("script", ZEROS)
def test_hc12_digits_of_other_scripts_are_the_same_digits(script: str) -> None:
    assert folded(written("755224", script)) == "755224"
    assert folded("7" + written("5522", script) + "4") == "755224"


@pytest.mark.parametrize(
    "text",
    [
        *["755 224", " 755224\n", "755-224", "755\u2011224", "755\u2013224", "755\u2212224", "7 5 5 2 2 4"],
        *["755\u00a0224", "755\u202f224", "\u200e755224\u200f", "755\u00ad224", "755\u3000224", "755\u200b224"],
    ],
    ids=ascii,
)
def test_hc12_spaces_and_dashes_do_not_count(text: str) -> None:
    assert folded(text) == "755224"


@pytest.mark.parametrize("text", ["75522O", "755.224", "755,224", "+755224", "0x55224", "七五五二二四", "½", "7e5"])
def test_hc12_anything_else_fits_no_code(text: str) -> None:
    assert "?" in folded(text)


@given(st.text(max_size=64))
def test_hc12_any_text_becomes_digits_and_question_marks(text: str) -> None:
    assert set(folded(text)) <= set("0123456789?")


# What an app reads


def test_an_app_is_told_what_is_not_usual() -> None:
    usual = SIX.uri(SEED, "ada@example.com", "example.com")
    other = Parameters("SHA256", 8, 60).uri(SEED, "ada@example.com", "Acme & Sons")

    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert secret_of(SEED) == secret
    assert usual == f"otpauth://totp/example.com:ada%40example.com?secret={secret}&issuer=example.com"
    assert other == (
        f"otpauth://totp/Acme%20%26%20Sons:ada%40example.com?secret={secret}&issuer=Acme%20%26%20Sons"
        "&algorithm=SHA256&digits=8&period=60"
    )


@pytest.mark.parametrize("character", ["a", "é", "漢", "😀"], ids=ascii)
def test_the_longest_names_fit_a_qr_code(character: str) -> None:
    uri = Parameters("SHA512", 8, 120).uri(SEED, character * 255, character * 64)

    assert drawn(uri).startswith("<svg")


def test_a_qr_code_brings_no_style_and_no_script() -> None:
    svg = drawn(SIX.uri(SEED, "ada@example.com", "example.com"))

    assert svg.startswith("<svg width=") and svg.endswith("</svg>")
    assert not {"style", "script", "href", "class"} & set(svg.replace("=", " ").replace("<", " ").split())
