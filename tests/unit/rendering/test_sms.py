"""SMS lengths against 3GPP TS 23.038 and 23.040."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.rendering.lengths.emoji import atoms
from notifications.rendering.lengths.push import push_fitted
from notifications.rendering.lengths.sms import sms_length

EMOJI = {
    "flag": "\U0001f1e9\U0001f1ea",
    "family": "👨\u200d👩\u200d👧\u200d👦",
    "skin tone": "👍🏽",
    "skin tone and profession": "👩🏾\u200d🚀",
    "heart": "❤\ufe0f",
    "couple": "👩\u200d❤\ufe0f\u200d💋\u200d👨",
    "keycap": "1\ufe0f\u20e3",
    "rainbow flag": "🏳\ufe0f\u200d🌈",
    "flag of England": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "handshake": "🧑🏻\u200d🤝\u200d🧑🏿",
}


@pytest.mark.parametrize(
    ("_case", "text", "encoding", "units", "segments"),
    [
        ("empty", "", "GSM-7", 0, 1),
        ("one full segment", "a" * 160, "GSM-7", 160, 1),
        ("one too many", "a" * 161, "GSM-7", 161, 2),
        ("two full segments", "a" * 306, "GSM-7", 306, 2),
        ("extension counts twice", "€" * 80, "GSM-7", 160, 1),
        ("extension is not cut", "a" * 152 + "€" + "b" * 152, "GSM-7", 306, 3),
        ("cyrillic", "ы" * 70, "UCS-2", 70, 1),
        ("cyrillic, two", "ы" * 71, "UCS-2", 71, 2),
        ("emoji counts twice", "😀" * 35, "UCS-2", 70, 1),
        ("emoji is not cut", "ы" * 66 + "😀" + "ы" * 66, "UCS-2", 134, 3),
    ],
)
def test_counts_as_carriers_count(
    _case: str, text: str, encoding: str, units: int, segments: int
) -> None:
    assert sms_length(text) == (encoding, units, segments)


def units(text: str) -> int:
    return len(text.encode("utf-16-be")) // 2


def twilios(pieces: list[str]) -> int:
    """Returns the segments of Twilio's calculator, which never splits a piece.

    When a second segment is needed, the header takes six bytes of the first, whose last pieces then
    move to the second.
    """
    segments: list[list[str]] = [[]]
    for piece in pieces:
        space = 70 if len(segments) == 1 else 67
        if sum(map(units, segments[-1])) + units(piece) > space:
            moved: list[str] = []
            while sum(map(units, segments[-1])) > 67:
                moved.insert(0, segments[-1].pop())
            segments.append(moved)
        segments[-1].append(piece)
    return len(segments)


@pytest.mark.parametrize("emoji", EMOJI.values(), ids=EMOJI)
def test_joined_emoji_go_whole_into_a_segment(emoji: str) -> None:
    size = units(emoji)
    for before in range(60, 68):
        text = "ы" * before + emoji + "ы" * 10
        wanted = twilios([*"ы" * before, emoji, *"ы" * 10])
        assert sms_length(text) == ("UCS-2", before + size + 10, wanted)
    filled = "ы" * (67 - size + 1) + emoji + "ы" * 67  # cut within, it would fit into two
    assert sms_length(filled).segments == 3
    assert list(atoms(f"a{emoji}b")) == ["a", emoji, "b"]


@given(st.lists(st.sampled_from([*EMOJI.values(), "ы", "a", " ", "😀"]), max_size=120))
def test_texts_with_joined_emoji_are_counted_as_twilio_counts(pieces: list[str]) -> None:
    text = "ы" + "".join(pieces)
    assert sms_length(text).segments == twilios(["ы", *pieces])
    assert list(atoms(text)) == ["ы", *pieces]


def test_a_made_up_sequence_longer_than_a_segment_is_cut_where_it_is_full() -> None:
    text = "😀" + "\u200d😀" * 100
    assert units(text) == 302
    assert sms_length(text) == ("UCS-2", 302, 5)


@pytest.mark.parametrize("emoji", EMOJI.values(), ids=EMOJI)
def test_a_push_is_not_cut_within_joined_emoji(emoji: str) -> None:
    for more in range(12):
        _, body = push_fitted("T", "a" * more + emoji * 2_000)
        whole = body.removesuffix("…").removeprefix("a" * more)
        assert len(whole) < len(emoji) * 2_000
        assert whole == emoji * (len(whole) // len(emoji))
