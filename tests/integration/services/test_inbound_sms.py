"""STOP, START and HELP, from Twilio's signed webhook to the messages that are suppressed."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from directory.models import ContactPoint, Suppression
from notifications.domain.callers import SYSTEM, Caller
from notifications.domain.errors import Refused
from notifications.engine.runs import deliver_rows
from notifications.features.receipts.inbound_sms import InboundSmsService
from notifications.models import ConsentRecord, InboundSms, NotificationMessage
from notifications.queue import batches
from notifications.recording.contacts import close_contact
from notifications.services import NotificationService
from tests.integration.factories import make_template, make_willing_user

pytestmark = pytest.mark.django_db
NUMBER = "+14155552671"
TOKEN = "secret"


@pytest.fixture(autouse=True)
def _settings(frozen, override_environment):
    override_environment(public_url="https://bell.example.com", twilio_auth_token=TOKEN)


@pytest.fixture
def person():
    make_template()
    return make_willing_user(phone_number=NUMBER)


def say(client, text, *, sid="SM1", sender=NUMBER, token=TOKEN, path="/sms/twilio", **more):
    form = {"MessageSid": sid, "From": sender, "To": "+15005550006", "Body": text, **more}
    url = f"https://bell.example.com{path}"
    signature = RequestValidator(token).compute_signature(url, form)
    return client.post(
        path,
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature},
    )


def send(user):
    body = {
        "template_path": "test.hello",
        "user_id": user.pk,
        "channel": "sms",
        "context": {"amount": 5},
    }
    return NotificationService().send(body=body, caller=SYSTEM)


def work():
    for lease in batches.lease(owner="w", lane="default", seconds=60):
        deliver_rows([lease], owner="w")


def test_stop_applies_at_once_to_waiting_and_new_messages(client, person):
    waiting = send(person)

    response = say(client, "Stop")

    assert (response.status_code, response["Content-Type"]) == (200, "text/xml")
    assert b"<Response></Response>" in response.content
    work()
    assert NotificationMessage.objects.get().status == "suppressed"
    (story,) = NotificationService().explain(identifier=waiting.id, caller=SYSTEM).messages
    assert story.decisions[-1].reason == "address_suppressed"
    assert story.contact.state == "unsubscribed"
    assert (story.contact.state_reason, story.contact.suppressed_for) == ("STOP by SMS",) * 2
    with pytest.raises(Refused) as caught:
        send(person)
    assert caught.value.code == "opted_out"
    entry = ConsentRecord.objects.get()
    assert (entry.user_id, entry.purpose, entry.granted) == (person.pk, "channel:sms", False)
    assert (entry.wording, entry.source) == ("Stop", "sms")


def test_start_reverses_stop(client, person):
    say(client, "STOP")
    say(client, "START", sid="SM2")

    assert Suppression.objects.count() == 0
    assert ContactPoint.objects.get(kind="phone").state == "active"
    send(person)
    work()
    assert NotificationMessage.objects.get().status == "sent"
    assert list(ConsentRecord.objects.values_list("granted", flat=True)) == [False, True]


def test_a_late_repetition_of_stop_changes_nothing(client, person):
    say(client, "STOP")
    say(client, "START", sid="SM2")
    say(client, "STOP")

    assert ContactPoint.objects.get(kind="phone").state == "active"
    assert InboundSms.objects.count() == 2


def test_stop_from_an_unknown_number_applies_to_its_later_owner(client):
    say(client, "STOP")
    make_template()
    with pytest.raises(Refused):
        send(make_willing_user(phone_number=NUMBER))


def test_start_restores_what_twilio_refused_and_not_what_an_operator_listed(client, person):
    close_contact(
        channel="sms",
        user_id=person.pk,
        address=NUMBER,
        code="unsubscribed",
        reason="twilio: Twilio error 21610",
    )
    Suppression.objects.create(kind="phone", address=NUMBER, source="operator")
    say(client, "start")

    assert ContactPoint.objects.get(kind="phone").state == "active"
    assert Suppression.objects.get().source == "operator"


def test_help_gets_a_reply_where_a_text_is_configured(client, override_environment):
    assert b"<Message>" not in say(client, "help").content
    override_environment(sms_help_text="Carillon <support>: +1 555")
    assert b"<Message>Carillon &lt;support&gt;: +1 555</Message>" in say(client, "HELP").content
    # Twilio's own opt-out handling has already sent a reply.
    assert b"<Message>" not in say(client, "HELP", sid="SM3", OptOutType="HELP").content


def test_twilios_own_keyword_has_precedence(client, person):
    say(client, "basta", OptOutType="STOP")
    assert InboundSms.objects.get().keyword == "stop"


def test_other_words_change_nothing_and_are_stored_encrypted(client, person):
    say(client, "Please stop calling me")
    stored = InboundSms.objects.get()
    assert (stored.keyword, stored.users) == ("other", [person.pk])
    assert stored.content["text"] == "Please stop calling me"
    assert Suppression.objects.count() == 0


def test_a_request_without_a_valid_signature_cannot_stop_messages(client, person):
    assert say(client, "STOP", token="wrong").status_code == 403
    assert client.post("/sms/twilio", {"Body": "STOP"}).status_code == 403
    assert client.get("/sms/twilio").status_code == 405
    assert InboundSms.objects.count() == 0


def test_a_request_that_is_not_a_text_is_refused(client):
    form = {"MessageSid": "SM1"}
    signature = RequestValidator(TOKEN).compute_signature(
        "https://bell.example.com/sms/twilio", form
    )
    response = client.post(
        "/sms/twilio",
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature},
    )
    assert response.status_code == 400


def test_operators_list_texts(client, person):
    for number, text in enumerate(("STOP", "hello", "START")):
        say(client, text, sid=f"SM{number}")
    found = InboundSmsService().list(caller=SYSTEM)
    assert [each.keyword for each in found] == ["stop", "other", "start"]
    (other,) = InboundSmsService().list(caller=SYSTEM, keyword="other")
    assert (other.text, other.sender, other.users) == ("hello", NUMBER, [person.pk])
    with pytest.raises(Refused):
        InboundSmsService().list(caller=Caller(name="user:1", user_id=1))


def test_texts_are_received_at_the_vendors_path(client, person):
    assert say(client, "STOP", path="/inbound/twilio").status_code == 200

    assert InboundSms.objects.get().keyword == "stop"


def test_a_vendor_without_inbound_texts_has_no_path(client):
    for name in ("smtp", "generic", "unknown"):
        response = client.post(f"/inbound/{name}", {"Body": "STOP"})
        assert response.status_code == 404
        assert b"known: twilio" in response.content
    assert client.get("/inbound/twilio").status_code == 405
