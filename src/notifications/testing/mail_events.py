"""The events that each mail service reports, in its own form, and the receipts they become.

The forms come from the services' documentation. docs/reference/mail-receipts.md is generated from
this list by the reader of real callbacks. A test compares each event's receipt with `means`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from notifications.domain.receipts import ReceiptKind
from notifications.testing import mail_meanings as meanings

REFERENCE = "0190a1b2c3d4.email"
ADDRESS = "ann@example.org"
_TIME = 1_777_629_600


@dataclass(frozen=True, slots=True)
class MailEvent:
    """One event of a service."""

    service: str
    #: The service's own name of it.
    says: str
    body: bytes
    #: The receipt that it becomes; None for an event that is about no message.
    means: ReceiptKind | None
    content_type: str = "application/json"


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _brevo(event: str) -> bytes:
    metadata = json.dumps({"reference": REFERENCE})
    fields = {"email": ADDRESS, "message-id": "<id@brevo>", "ts_epoch": _TIME * 1000}
    return _json({"event": event, **fields, "X-Mailin-custom": metadata})


def _mailersend(kind: str) -> bytes:
    email = {"message": {"id": "m1"}, "recipient": {"email": ADDRESS}}
    data = {"type": kind, "email": email, "created_at": "2026-05-01T10:00:00Z"}
    if "bounced" in kind:
        data["morph"] = {"object": "recipient_bounce", "reason": "550 5.1.1"}
    return _json({"type": f"activity.{kind}", "data": data})


def _mailgun(event: str, **more: Any) -> bytes:
    data: dict[str, Any] = {"event": event, "recipient": ADDRESS, "timestamp": _TIME}
    data |= {"message": {"headers": {"message-id": "id@mailgun"}}}
    data |= {"user-variables": {"reference": REFERENCE}, **more}
    return _json({"signature": {}, "event-data": data})


def _mailjet(event: str, **more: Any) -> bytes:
    payload = json.dumps({"reference": REFERENCE})
    return _json(
        {
            "event": event,
            "email": ADDRESS,
            "time": _TIME,
            "MessageID": 7,
            "Payload": payload,
            **more,
        }
    )


def _mailtrap(event: str) -> bytes:
    one = {"event": event, "email": ADDRESS, "timestamp": _TIME, "message_id": "m1"}
    return _json({"events": [{**one, "custom_variables": {"reference": REFERENCE}}]})


def _mandrill(event: str) -> bytes:
    message = {"email": ADDRESS, "metadata": {"reference": REFERENCE}, "tags": []}
    events = [{"event": event, "ts": _TIME, "_id": "m1", "msg": message}]
    return urlencode({"mandrill_events": json.dumps(events)}).encode()


def _postal(event: str, payload: Mapping[str, Any]) -> bytes:
    message = {"id": 7, "to": ADDRESS, "direction": "outgoing", "tag": None}
    named = "original_message" if "bounce" in payload else "message"
    body = {**payload, named: message}
    return _json({"event": event, "timestamp": _TIME, "uuid": "u", "payload": body})


def _postmark(record: str, **more: Any) -> bytes:
    return _json(
        {
            "RecordType": record,
            "MessageID": "pm-1",
            "Recipient": ADDRESS,
            "Metadata": {"reference": REFERENCE},
            **more,
        }
    )


def _resend(kind: str, **more: Any) -> bytes:
    metadata = json.dumps({"reference": REFERENCE})
    headers = [{"name": "X-Metadata", "value": metadata}]
    data = {"email_id": "m1", "to": [ADDRESS], "headers": headers, **more}
    return _json({"type": kind, "created_at": "2026-05-01T10:00:00.000Z", "data": data})


def _sendgrid(event: str, **more: Any) -> bytes:
    one = {"event": event, "email": ADDRESS, "timestamp": _TIME, "anymail_id": "m1"}
    return _json([{**one, "reference": REFERENCE, **more}])


def _sparkpost(kind: str, **more: Any) -> bytes:
    event: dict[str, Any] = {
        "type": kind,
        "raw_rcpt_to": ADDRESS,
        "transmission_id": "m1",
        "timestamp": str(_TIME),
    }
    event |= {"rcpt_meta": {"reference": REFERENCE}, **more}
    return _json([{"msys": {"message_event": event}}])


def _unisender_go(status: str, delivery: str = "") -> bytes:
    event: dict[str, Any] = {
        "status": status,
        "email": ADDRESS,
        "event_time": "2026-05-01 10:00:00",
    }
    event |= {"metadata": {"reference": REFERENCE}, "job_id": "m1"}
    event |= {"delivery_info": {"delivery_status": delivery}} if delivery else {}
    one = {"event_name": "transactional_email_status", "event_data": event}
    return _json({"auth": "x" * 32, "events_by_user": [{"user_id": 1, "events": [one]}]})


def _rows(service: str, made: Any, rows: Mapping[str, ReceiptKind | None]) -> Iterator[MailEvent]:
    form = "application/x-www-form-urlencoded" if service == "mandrill" else "application/json"
    for says, means in rows.items():
        yield MailEvent(service, says, made(says), means, form)


def _failed_at_mailgun(says: str) -> bytes:
    severity, reason, kind = says.split()[1:4]
    status = {"bounce-type": kind} if kind in ("hard", "soft") else {}
    status |= {"enhanced-code": kind} if kind[0].isdigit() else {}
    return _mailgun("failed", severity=severity, reason=reason, **{"delivery-status": status})


def _bounced_at_mailjet(says: str) -> bytes:
    hard, error = says.split(maxsplit=2)[1:]
    return _mailjet("bounce", hard_bounce=hard == "hard", error=error)


def _bounced_at_resend(says: str) -> bytes:
    kind, about = says.split()[1:]
    bounce = {"type": kind, "subType": about, "message": "The recipient's ... bounce message"}
    return _resend("email.bounced", bounce=bounce)


def _of_postal(says: str) -> bytes:
    if says == "MessageBounced":
        return _postal(says, {"bounce": {"id": 8}})
    status, _, output = says.partition(" ")
    return _postal("MessageStatus", {"status": status, "output": output, "details": ""})


def _of_sendgrid(says: str) -> bytes:
    event, _, rest = says.partition(" ")
    kind, _, about = rest.partition(" ")
    more = {"type": kind} if kind else {}
    return _sendgrid(event, **more, **({"bounce_classification": about} if about else {}))


def events() -> list[MailEvent]:
    """Returns every event of every service, in the order of the page."""
    return [
        *_rows("brevo", _brevo, meanings.BREVO),
        *_rows("mailersend", _mailersend, meanings.MAILERSEND),
        *_rows("mailgun", _mailgun, meanings.MAILGUN),
        *_rows("mailgun", lambda says: _mailgun(says, reject={}), {"rejected": ReceiptKind.FAILED}),
        *_rows("mailgun", _failed_at_mailgun, meanings.MAILGUN_FAILED),
        *_rows("mailjet", _mailjet, meanings.MAILJET),
        *_rows("mailjet", _bounced_at_mailjet, meanings.MAILJET_BOUNCED),
        *_rows("mailtrap", _mailtrap, meanings.MAILTRAP),
        *_rows("mandrill", _mandrill, meanings.MANDRILL),
        *_rows("postal", _of_postal, meanings.POSTAL),
        *_rows("postmark", _postmark, meanings.POSTMARK),
        *_rows(
            "postmark",
            lambda says: _postmark("Bounce", Type=says.split()[1]),
            meanings.POSTMARK_BOUNCED,
        ),
        *_rows(
            "postmark",
            lambda says: _postmark("SubscriptionChange", SuppressionReason=says.split()[1]),
            meanings.POSTMARK_SUPPRESSED,
        ),
        *_rows("resend", _resend, meanings.RESEND),
        *_rows("resend", _bounced_at_resend, meanings.RESEND_BOUNCED),
        *_rows("sendgrid", _of_sendgrid, meanings.SENDGRID),
        *_rows("sparkpost", _sparkpost, meanings.SPARKPOST),
        *_rows(
            "sparkpost",
            lambda says: _sparkpost("bounce", bounce_class=says.split()[1]),
            meanings.SPARKPOST_BOUNCED,
        ),
        *_rows(
            "sparkpost",
            lambda says: _sparkpost("out_of_band", bounce_class=says.split()[1]),
            {"out_of_band 10": ReceiptKind.BOUNCED, "out_of_band 22": ReceiptKind.FAILED},
        ),
        *_rows("unisender_go", lambda says: _unisender_go(*says.split()), meanings.UNISENDER),
    ]
