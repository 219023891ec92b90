"""Attached files: they are read, stored once, carried by mails, and deleted."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from click.testing import CliRunner

from carillon.cli import carillon
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.engine.runs import deliver_rows
from notifications.engine.shared_rows import forget
from notifications.features.upkeep.maintenance import maintain
from notifications.models import (
    DeadLetter,
    NotificationMessage,
    SandboxMessage,
    StoredAttachment,
    attachments_of,
)
from notifications.queue import batches
from notifications.services import NotificationService
from notifications.web.outbox import _outbox_message
from tests.integration.factories import make_template, make_user

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.7 invoice"


@pytest.fixture(autouse=True)
def _template(frozen):
    make_template()


def file(name="Invoice May.pdf", content=PDF, **more):
    return {
        "filename": name,
        "content": base64.b64encode(content).decode(),
        "content_type": "application/pdf",
        **more,
    }


def send(*files, channels=("email",), options=None, user=None):
    body = {
        "template_path": "test.hello",
        "user_id": (user or make_user()).pk,
        "channels": list(channels),
        "context": {"amount": 5},
        "options": {"attachments": list(files), **(options or {})},
    }
    return NotificationService().send(body=body, caller=SYSTEM)


def work():
    for lease in batches.lease(owner="w", lane="default", seconds=60):
        deliver_rows([lease], owner="w")


def faults(*files, **more):
    with pytest.raises(InvalidRequest) as caught:
        send(*files, **more)
    assert StoredAttachment.objects.count() == 0
    return [(each.path, each.code) for each in caught.value.errors]


def test_a_mail_carries_the_file_and_the_outbox_names_it():
    send(file(), channels=["email", "in_app"])
    work()
    stored = SandboxMessage.objects.get(channel="email")
    described = {
        "filename": "Invoice May.pdf",
        "content_type": "application/pdf",
        "bytes": len(PDF),
    }
    assert stored.content["attachments"] == [described]
    assert _outbox_message(stored).files == ["Invoice May.pdf (application/pdf, 16 bytes)"]


def test_a_bulk_send_stores_its_file_once_and_encrypted():
    body = {
        "template_path": "test.hello",
        "recipients": [{"user_id": make_user().pk} for _ in range(3)],
        "channel": "email",
        "context": {"amount": 5},
        "options": {"attachments": [file()]},
    }
    NotificationService().send_bulk(body=body, caller=SYSTEM)
    row = StoredAttachment.objects.get()
    assert PDF not in bytes(row.content)
    assert b"Invoice" not in bytes(row.about)
    assert attachments_of([row.pk])[0].content == PDF
    work()
    assert SandboxMessage.objects.count() == 3


def test_all_faults_are_reported_at_once():
    found = faults(
        file(name="../x.pdf"),
        file(content=b""),
        {"filename": "a.txt", "content": "no base64!"},
        {"filename": "a.txt"},
        file(content_type="text/html; name=a"),
        "a.txt",
        file(inline=True),
    )
    assert found == [
        ("options.attachments[0].filename", "invalid"),
        ("options.attachments[1].content", "empty_attachment"),
        ("options.attachments[2].content", "invalid_base64"),
        ("options.attachments[3].content", "required"),
        ("options.attachments[4].content_type", "invalid"),
        ("options.attachments[5]", "wrong_type"),
        ("options.attachments[6].inline", "unknown_field"),
    ]


def test_there_are_limits(override_environment):
    override_environment(max_attachment_bytes=20)
    assert faults(file(), file()) == [("options.attachments", "attachments_too_large")]
    assert faults(*[file()] * 11) == [("options.attachments", "too_many_attachments")]


def test_files_that_no_channel_carries_are_an_error():
    code = "no_channel_for_attachments"
    assert faults(file(), channels=["in_app"]) == [("options.attachments", code)]
    send(file(), channels=["in_app"], options={"fallback": ["email"]})


def test_a_file_is_deleted_when_nothing_can_need_it(frozen):
    send(file())
    frozen.forward(timedelta(days=31).total_seconds())
    assert maintain()["attachments_deleted"] == 0  # the mail still waits
    work()
    assert maintain()["attachments_deleted"] == 0  # it is checked again in a day
    frozen.forward(timedelta(days=2).total_seconds())
    assert maintain()["attachments_deleted"] == 1
    assert StoredAttachment.objects.count() == 0


def test_the_file_of_a_dead_letter_is_retained(frozen):
    send(file())
    message = NotificationMessage.objects.get()
    work()
    DeadLetter.objects.create(
        message_id=message.pk,
        notification_id=message.notification_id,
        channel="email",
        code="smtp_550",
        last_error="no",
        attempts=3,
        failed_at=frozen.now,
    )
    frozen.forward(timedelta(days=31).total_seconds())
    assert maintain()["attachments_deleted"] == 0


def test_a_mail_is_never_sent_without_its_file():
    send(file())
    StoredAttachment.objects.all().delete()
    forget()
    work()
    message = NotificationMessage.objects.get()
    assert (message.status, DeadLetter.objects.get().code) == ("failed", "attachment_deleted")


def test_the_command_line_attaches_files(tmp_path):
    user = make_user(username="ann")
    (tmp_path / "Invoice.pdf").write_bytes(PDF)
    words = ["send", "test.hello", "--to", "ann", "--channel", "email", "--context", "amount=5"]
    result = CliRunner().invoke(carillon, [*words, "--attach", str(tmp_path / "Invoice.pdf")])
    assert result.exit_code == 0, result.output
    row = StoredAttachment.objects.get()
    assert attachments_of([row.pk])[0].content_type == "application/pdf"
    assert NotificationMessage.objects.get().user_id == user.pk
