"""SMS lengths against 3GPP TS 23.038 and 23.040."""

from __future__ import annotations

import pytest

from notifications.rendering.sms import sms_length


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
