"""Receipts of decisions and consents, verified by the script alone."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from notifications.features.audit.proofs import public_key_line
from notifications.features.audit.sealer import seal_due
from notifications.infra import clock
from notifications.models import AuditLeaf, LeafKind, NotificationMessage
from notifications.models.audit.entries import record_erasure
from tests.integration.audit.world import api_key, deliver_all, send_to
from tests.integration.factories import make_user, make_willing_user

pytestmark = pytest.mark.django_db(transaction=True)
SCRIPT = Path(__file__).parents[3] / "docs/security/verify_receipt.py"


def run_script(tmp_path: Path, receipt: Any, *key: str) -> tuple[int, str]:
    """Runs the script as a person would: without the service, its settings and its libraries."""
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(file), *key],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin"},
    )
    assert not done.stderr
    return done.returncode, done.stdout


def receipt_of(path: str, scopes: list[str]) -> Any:
    response = Client().get(path, HTTP_AUTHORIZATION=f"Bearer {api_key(scopes)}")
    return response.status_code, response.json()


@pytest.fixture
def decision() -> Any:
    """The receipt of a notification that was sent on two channels."""
    found = send_to(make_willing_user(), channels=["in_app", "email"])
    deliver_all()
    seal_due(now=clock.now())
    status, receipt = receipt_of(f"/api/v1/notifications/{found}/receipt", ["notifications:read"])
    assert status == 200, receipt
    return receipt


@pytest.fixture
def consent() -> Any:
    """The receipt of a consent."""
    user = make_user()
    key = api_key(["preferences:write", "preferences:read"])
    body = {
        "user_id": user.pk,
        "purpose": "marketing",
        "granted": True,
        "wording": "Yes, tell me",
        "source": "form",
    }
    made = Client().post(
        "/api/v1/consents",
        body,
        content_type="application/json",
        HTTP_AUTHORIZATION=f"Bearer {key}",
        HTTP_USER_AGENT="tester/1",
    )
    assert made.status_code == 201, made.content
    path = f"/api/v1/consents/{made.json()['id']}/receipt"
    assert receipt_of(path, ["preferences:read"])[1]["code"] == "not_sealed_yet"
    seal_due(now=clock.now())
    status, receipt = receipt_of(path, ["preferences:read"])
    assert status == 200, receipt
    return receipt


def test_a_decision_is_proved_offline(decision: Any, tmp_path: Path) -> None:
    code, text = run_script(tmp_path, decision, public_key_line())
    assert code == 0, text
    assert text.endswith("valid\n")
    messages = NotificationMessage.objects.order_by("pk")
    assert len(decision["receipts"]) == len(messages) == 2
    for message, item in zip(messages, decision["receipts"], strict=True):
        assert item["opening"]["message_id"] == message.pk
        assert item["opening"]["text"] == message.trail
        assert message.trail in text


def test_a_consent_is_proved_offline(consent: Any, tmp_path: Path) -> None:
    code, text = run_script(tmp_path, consent)
    assert code == 0, text
    assert "valid, if the log's key is" in text
    details = json.loads(consent["receipts"][0]["opening"]["text"])
    assert details["after"]["wording"] == "Yes, tell me"
    assert details["user_agent"] == "tester/1"
    assert details["ip"] == "127.0.0.1"


Alter = Callable[[dict[str, Any]], Any]


def _set(place: str, value: Callable[[Any], Any]) -> Alter:
    *parts, last = place.split(".")

    def alter(item: dict[str, Any]) -> None:
        for part in parts:
            item = item[part]
        item[last] = value(item[last])

    return alter


def _flipped(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[-1] ^= 1
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("kind", ["decision", "consent"])
@pytest.mark.parametrize(
    "alter",
    [
        _set("opening.text", lambda text: text.replace("e", "a", 1)),
        _set("opening.salt", lambda text: f"{int(text[0], 16) ^ 1:x}{text[1:]}"),
        _set("leaf.at_ms", lambda number: number + 1),
        _set("leaf.actor", lambda _: "user:1"),
        _set("leaf.action", lambda _: "other"),
        _set("leaf.target", lambda text: text + "1"),
        _set("leaf.user_id", lambda _: 999),
        _set("leaf.number", lambda number: number + 1),
        _set("leaf.data", _flipped),
        _set("proof.hashes", lambda found: [*found, "00" * 32]),
        _set("proof.hashes", lambda found: found[1:] if found else ["00" * 32]),
        _set("checkpoint", lambda note: note.replace("time 2", "time 1", 1)),
        _set("checkpoint", lambda note: note[:-8] + "AAAA" + note[-4:]),
        _set("checkpoint", lambda _: ""),
    ],
)
def test_an_altered_receipt_is_invalid(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, alter: Alter
) -> None:
    receipt = request.getfixturevalue(kind)
    alter(receipt["receipts"][0])
    code, text = run_script(tmp_path, receipt, public_key_line())
    assert (code, text.split(":")[0]) == (1, "INVALID")


def test_a_receipt_of_another_key_is_invalid(consent: Any, tmp_path: Path) -> None:
    other = "x+" + public_key_line().split("+", 1)[1]
    code, text = run_script(tmp_path, consent, other)
    assert (code, text.split(":")[0]) == (1, "INVALID")


def test_only_the_person_and_readers_get_a_receipt(consent: Any, decision: Any) -> None:
    number = consent["about"].split()[1]
    for path in (
        f"/api/v1/consents/{number}/receipt",
        f"/api/v1/{decision['about'].replace(' ', 's/')}/receipt",
    ):
        assert receipt_of(path, ["categories:write"])[0] == 403
    assert receipt_of("/api/v1/consents/999999/receipt", ["preferences:read"])[0] == 404
    assert receipt_of("/api/v1/consents/x/receipt", ["preferences:read"])[0] == 404


def test_the_script_fits_on_three_pages_and_needs_nothing() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 150
    modules = {line.split()[1] for line in text.splitlines() if line.startswith("import ")}
    assert modules == {"base64", "hashlib", "json", "sys"}


def test_an_erased_person_has_no_receipt(consent: Any) -> None:
    from notifications.features.audit.retention import empty_contents

    number = consent["about"].split()[1]
    leaf = AuditLeaf.objects.get(target=f"consent:{number}", kind=LeafKind.ENTRY)
    assert leaf.subject_id is not None
    record_erasure(leaf.subject_id, reason="asked", actor="cli", at=clock.now())
    seal_due(now=clock.now())
    while empty_contents(100)[0]:
        pass
    path = f"/api/v1/consents/{number}/receipt"
    assert receipt_of(path, ["preferences:read"])[1]["code"] == "no_receipt"
