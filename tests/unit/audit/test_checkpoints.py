"""Checkpoints as signed notes, against the example of Go's golang.org/x/mod/sumdb/note."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from notifications.domain.checkpoints import (
    Checkpoint,
    InvalidCheckpoint,
    parse_checkpoint,
    split_note,
)
from notifications.infra.audit_keys import (
    AuditKey,
    _is_signed,
    key_id,
    open_checkpoint,
    verifier_key,
)

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
    "qdngotpRZb6KE6RyyBwJnAM=\n"
)
AT = datetime(2030, 5, 1, 12, 0, 7, tzinfo=UTC)
KEY = AuditKey(b"\x07" * 32)
CHECKPOINT = Checkpoint("notify.example.com/audit", 12, b"\x05" * 32, AT)


def test_the_published_note_verifies_with_the_published_key() -> None:
    import base64

    public = base64.b64decode(GO_KEY.split("+", 2)[2])[1:]
    body, (line,) = split_note(GO_NOTE)
    assert line.name == "PeterNeumann"
    assert line.key_id == key_id("PeterNeumann", public)
    assert verifier_key("PeterNeumann", public) == GO_KEY
    assert _is_signed(public, line, body)
    assert not _is_signed(public, line, body + "more\n")
    assert line.text() == GO_NOTE.splitlines(keepends=True)[-1]


def test_a_signed_checkpoint_is_read_again() -> None:
    note = KEY.sign(CHECKPOINT)
    assert note.splitlines()[:4] == [
        "notify.example.com/audit",
        "12",
        "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=",
        "time 2030-05-01T12:00:07Z",
    ]
    assert open_checkpoint(note, [KEY.public]) == CHECKPOINT
    other = AuditKey(b"\x08" * 32)
    with pytest.raises(InvalidCheckpoint, match="no known key"):
        open_checkpoint(note, [other.public])
    with pytest.raises(InvalidCheckpoint, match="no known key"):
        open_checkpoint(note.replace("\n12\n", "\n13\n"), [KEY.public])


def test_a_signature_has_one_spelling() -> None:
    note = KEY.sign(CHECKPOINT)
    assert note.endswith("=\n")
    last = note[-3]
    same = chr(ord(last) + 1)  # the two bits that the last character does not need
    with pytest.raises(InvalidCheckpoint, match="canonical"):
        open_checkpoint(f"{note[:-3]}{same}=\n", [KEY.public])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "a\n",
        "a\n\n",
        "a\n\nb\n",
        "a\n\n\N{EM DASH} b\n",
        "a\n\n\N{EM DASH} b AA==\n",
        "x" * 11_000,
    ],
)
def test_a_text_that_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(InvalidCheckpoint):
        open_checkpoint(note, [KEY.public])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n12\n", "\n012\n"),
        ("\n12\n", "\n-1\n"),
        ("\n12\n", "\n\N{ARABIC-INDIC DIGIT ONE}\n"),
        ("BQUF", "BQ=="),
        ("BQUFBQUFBQUF", ""),
        ("time 2030", "time 20x0"),
        ("time ", "at "),
        ("notify.example.com/audit", ""),
    ],
)
def test_a_note_that_is_no_checkpoint_is_refused(old: str, new: str) -> None:
    with pytest.raises(InvalidCheckpoint):
        parse_checkpoint(CHECKPOINT.body().replace(old, new))
