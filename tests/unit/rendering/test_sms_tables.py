"""SMS lengths against the tables of 3GPP TS 23.038 (GSM 03.38), copied as published.

The default alphabet (6.2.1) is a grid: the column is bits 7 to 5 of a septet, the row bits 4 to 1.
The extension table (6.2.1.1) is reached by ESC, 0x1B. Concatenation is TS 23.040, 9.2.3.24.1: a
user data header of six bytes leaves 153 septets, or 67 units of UCS-2, in each part of 140 bytes.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifications.rendering.lengths.sms import sms_length

ESC = "\x1b"
DEFAULT_ALPHABET = [
    # 0    1    2    3    4    5    6    7
    ["@", "Δ", " ", "0", "¡", "P", "¿", "p"],
    ["£", "_", "!", "1", "A", "Q", "a", "q"],
    ["$", "Φ", '"', "2", "B", "R", "b", "r"],
    ["¥", "Γ", "#", "3", "C", "S", "c", "s"],
    ["è", "Λ", "¤", "4", "D", "T", "d", "t"],
    ["é", "Ω", "%", "5", "E", "U", "e", "u"],
    ["ù", "Π", "&", "6", "F", "V", "f", "v"],
    ["ì", "Ψ", "'", "7", "G", "W", "g", "w"],
    ["ò", "Σ", "(", "8", "H", "X", "h", "x"],
    ["Ç", "Θ", ")", "9", "I", "Y", "i", "y"],
    ["\n", "Ξ", "*", ":", "J", "Z", "j", "z"],
    ["Ø", ESC, "+", ";", "K", "Ä", "k", "ä"],
    ["ø", "Æ", ",", "<", "L", "Ö", "l", "ö"],
    ["\r", "æ", "-", "=", "M", "Ñ", "m", "ñ"],
    ["Å", "ß", ".", ">", "N", "Ü", "n", "ü"],
    ["å", "É", "/", "?", "O", "§", "o", "à"],
]
EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
SEPTETS = {
    char: bytes([column << 4 | row])
    for row, chars in enumerate(DEFAULT_ALPHABET)
    for column, char in enumerate(chars)
    if char != ESC
} | {char: bytes([0x1B, code]) for code, char in EXTENSION.items()}


def naive(text: str) -> tuple[str, int, int]:
    """Encodes as a phone does, then cuts: never after an ESC, never within a surrogate pair."""
    if set(text) <= set(SEPTETS):
        septets = list(b"".join(SEPTETS[char] for char in text))
        return "GSM-7", len(septets), parts(septets, alone=160, joined=153, bound=range(0x1B, 0x1C))
    encoded = text.encode("utf-16-be")
    units = [int.from_bytes(encoded[at : at + 2], "big") for at in range(0, len(encoded), 2)]
    return "UCS-2", len(units), parts(units, alone=70, joined=67, bound=range(0xD800, 0xDC00))


def parts(units: list[int], *, alone: int, joined: int, bound: range) -> int:
    if len(units) <= alone:
        return 1
    count = 0
    while units:
        size = joined
        if len(units) > size and units[size - 1] in bound:
            size -= 1
        units, count = units[size:], count + 1
    return count


def test_the_tables_are_whole() -> None:
    assert len(SEPTETS) == 127 + 10  # 128 places, one of them ESC
    assert [len(row) for row in DEFAULT_ALPHABET] == [8] * 16


def test_every_character_of_the_basic_plane_is_counted_by_the_tables() -> None:
    for code in range(0x10000):
        if 0xD800 <= code < 0xE000:
            continue
        char = chr(code)
        wanted = ("GSM-7", len(SEPTETS[char]), 1) if char in SEPTETS else ("UCS-2", 1, 1)
        assert sms_length(char) == wanted, hex(code)


@pytest.mark.parametrize("length", [152, 153, 154, 159, 160, 161, 305, 306, 307, 459, 460])
@pytest.mark.parametrize("char", ["a", "€", "é"])
def test_the_edges_of_segments(char: str, length: int) -> None:
    for text in (char * length, "a" * (length - 1) + char, "a" * (length - 2) + "€" + char):
        assert sms_length(text) == naive(text)


gsm = st.sampled_from(sorted(SEPTETS))
wide = st.sampled_from(["ы", "😀", "a", "€", "漢", "\u0301"])


@given(st.lists(gsm, max_size=700).map("".join))
@example("a" * 152 + "€" * 153)
def test_seven_bit_texts_are_cut_as_the_standard_cuts(text: str) -> None:
    assert sms_length(text) == naive(text)


@given(st.lists(wide, max_size=400).map("".join))
@example("ы" * 66 + "😀" * 67)
def test_wide_texts_are_cut_as_the_standard_cuts(text: str) -> None:
    assert sms_length(text) == naive(text)


@given(st.text(max_size=300))
def test_any_text_is_counted_as_the_standard_counts(text: str) -> None:
    assert sms_length(text) == naive(text)
