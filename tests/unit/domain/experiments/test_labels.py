"""The labels by which a notification names its place in a test."""

from __future__ import annotations

import pytest

from notifications.domain.experiments.labels import (
    ExperimentPlace,
    PlaceNote,
    is_held_out,
    place_of,
)


@pytest.mark.parametrize("note", PlaceNote)
@pytest.mark.parametrize("variant", ["", "B", "a-long_name-of-20-ch"])
def test_a_label_is_read_as_it_was_written(variant, note):
    place = ExperimentPlace(2**63 - 1, variant, note)
    assert place_of(place.label) == place
    assert len(place.label) <= 50
    assert is_held_out(place.label) is (note is PlaceNote.HELD_OUT)


@pytest.mark.parametrize("label", [None, "", "B", "7", "7:B/", "7:B/else", "x:B", "7:B C", "7:B\n"])
def test_other_texts_are_no_place(label):
    assert place_of(label) is None
    assert not is_held_out(label)
