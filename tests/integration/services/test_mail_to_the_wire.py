"""A mail from the API to the mail server: file, reply address, sender, signature, pace."""

from __future__ import annotations

import base64
from email import policy
from email.parser import BytesParser

import dkim
import pytest
from asgiref.sync import SyncToAsync, async_to_sync
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from django.db import connections

from notifications.delivery.vendors.smtp.dkim import read_keys
from notifications.domain.callers import SYSTEM
from notifications.models import NotificationMessage
from notifications.models.providers.provider_flow import ChatFlow
from notifications.services import NotificationDeliveryEngine, NotificationService
from notifications.testing.servers import SMTPSink
from tests.integration.factories import make_template, make_user

pytestmark = pytest.mark.django_db(transaction=True)
PDF = b"%PDF-1.7 invoice"


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "dkim.pem"
    private = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private)
    return f"shop.example:s1:{path}"


@pytest.fixture
def server(override_environment, key):
    with SMTPSink().run_in_thread() as sink:
        override_environment(
            email_provider="smtp",
            smtp_host=sink.host,
            smtp_port=sink.port,
            smtp_tls="none",
            smtp_dkim_keys=(key,),
            verified_senders=("@shop.example",),
            rate_limits=("smtp=off",),
            email_domain_limits=("example.com=50/s",),
        )
        yield sink
    # The engine's database work ran on asgiref's thread, whose connection outlives the test.
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


def send():
    body = {
        "template_path": "test.hello",
        "user_id": make_user().pk,
        "channel": "email",
        "context": {"amount": 5},
        "options": {
            "sender": "Shop <orders@shop.example>",
            "reply_to": "help@shop.example",
            "attachments": [
                {"filename": "Invoice.pdf", "content": base64.b64encode(PDF).decode()},
            ],
        },
    }
    NotificationService().send(body=body, caller=SYSTEM)


def test_all_of_it_arrives(server, key):
    make_template()
    for _ in range(2):
        send()
    for message in NotificationMessage.objects.order_by("pk"):
        result = async_to_sync(NotificationDeliveryEngine().deliver_message)(message)
        assert result.success, result.error

    (signer,) = read_keys([key])
    assert len(server.messages) == 2
    for taken in server.messages:
        mail = BytesParser(policy=policy.default).parsebytes(taken.content)
        (attached,) = mail.iter_attachments()
        assert (attached.get_filename(), attached.get_payload(decode=True)) == ("Invoice.pdf", PDF)
        assert mail["From"] == "Shop <orders@shop.example>"
        assert mail["Reply-To"] == "help@shop.example"
        record = signer.record.encode()
        verifier = dkim.DKIM(taken.content)
        assert verifier.verify(dnsfunc=lambda name, timeout=5, record=record: record)
    assert ChatFlow.objects.get().chat == "example.com"
