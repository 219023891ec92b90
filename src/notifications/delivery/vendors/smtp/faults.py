"""The meaning of an SMTP server's replies, and of lost connections."""

from __future__ import annotations

from typing import Any

import structlog

from notifications.delivery.base import where
from notifications.delivery.mail.mime import Mail
from notifications.delivery.vendors.smtp.pool import NoSmtpUtf8, NotAttempted
from notifications.delivery.vendors.smtp.replies import SmtpLost, SmtpRefused, SmtpReply, Stage
from notifications.domain.messages import SendResult, Verdict

log = structlog.get_logger("carillon.delivery")

# A wrong setting of ours: authentication is required, refused, too weak, or not encrypted.
_AUTH_CODES = frozenset({530, 534, 535, 538})
SENDER_TEXT = (
    "the sender is not ASCII and the mail server has no SMTPUTF8:"
    " set CARILLON_EMAIL_FROM to an ASCII address, or use another server"
)
# 5.1.x is about addresses (RFC 3463); these are about the sender's, and about a syntax that is
# already checked.
_SENDERS_FAULT = frozenset({"5.1.5", "5.1.7", "5.1.8", "5.1.9"})
LOST_TEXTS = {
    "auth": "the mail server refuses our credentials",
    "tls": "no secure connection to the mail server could be made",
    "greeting": "the mail server refused the connection",
    "timeout": "no reply from the mail server in time",
    "connection": "the connection to the mail server failed",
    "invalid_response": "the mail server's reply is not SMTP",
}
NOT_AN_ADDRESS = SendResult(
    Verdict.FAILED,
    error="this is not an address that mail can carry",
    error_code="invalid_recipient",
    recipient_dead=True,
)


def result_of(mail: Mail, reply: SmtpReply | Exception) -> SendResult:
    """Returns the result of a mail, from the server's final reply or from an exception."""
    if isinstance(reply, SmtpReply):
        return SendResult(
            Verdict.SENT, provider_message_id=mail.message_id, response=_response(reply)
        )
    if isinstance(reply, SmtpRefused):
        return _result_of_refusal(reply)
    if isinstance(reply, SmtpLost):
        verdict = Verdict.UNCERTAIN if reply.written else Verdict.RETRY
        stage = "after" if reply.written else "before"
        text = f"{LOST_TEXTS[reply.code]} ({stage} the content was written)"
        return SendResult(verdict, error=text, error_code=reply.code)
    if isinstance(reply, NotAttempted):
        text = "no connection was free in time"
        return SendResult(Verdict.RETRY, error=text, error_code="not_started")
    if isinstance(reply, NoSmtpUtf8) and not mail.sender.isascii():
        return SendResult(Verdict.RETRY, error=SENDER_TEXT, error_code="sender_not_ascii")
    if isinstance(reply, NoSmtpUtf8):
        text = "the mail server accepts ASCII addresses only"
        return SendResult(Verdict.FAILED, error=text, error_code="smtputf8_unsupported")
    log.error("provider.raised", provider="smtp", **where(reply))
    text = f"the provider raised {type(reply).__name__}"
    return SendResult(Verdict.UNCERTAIN, error=text, error_code="provider_exception")


def _result_of_refusal(refused: SmtpRefused) -> SendResult:
    """Returns the result of a refusal: 4xx and credentials are retried, 5xx is final.

    A 5.1.x about the recipient means that the recipient is dead.
    """
    reply = refused.reply
    text = f"the mail server replied {reply.code} {reply.enhanced}".rstrip()
    text += f" to the {refused.stage}"
    response = _response(reply)
    if reply.code in _AUTH_CODES:
        return SendResult(Verdict.RETRY, error=text, error_code="auth", response=response)
    if reply.code < 500:
        code = f"smtp_{reply.code}"
        # A 3xx in place of the final reply neither accepts nor refuses the mail.
        odd = refused.written and reply.code < 400
        verdict = Verdict.UNCERTAIN if odd else Verdict.RETRY
        return SendResult(verdict, error=text, error_code=code, response=response)
    about_address = reply.enhanced.startswith("5.1.") and reply.enhanced not in _SENDERS_FAULT
    return SendResult(
        Verdict.FAILED,
        error=text,
        error_code=f"smtp_{reply.code}",
        recipient_dead=about_address and refused.stage is not Stage.SENDER,
        response=response,
    )


def _response(reply: SmtpReply) -> dict[str, Any]:
    return {"code": reply.code, "text": reply.text[:2000]}
