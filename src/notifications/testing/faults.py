"""Faults that a network provider meets, and the verdict that each must have.

FAULT_VERDICTS defines the verdicts. tests/contract/test_provider_faults.py runs every network
provider against every fault of its protocol, and docs/reference/faults.md is generated from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from notifications.delivery.registry import PROVIDERS
from notifications.domain.messages import Verdict
from notifications.testing.http_sink import HTTPScript, HTTPSink, ReceivedRequest, Reply
from notifications.testing.loopback import Act, Sink
from notifications.testing.smtp_sink import SMTPScript, SMTPSink, by_verb

LOGIN = "carillon:secret"
GRANT_PATH = "/token"  # where the fake server issues access tokens for FCM
_TOKEN_REPLY = Reply(body=b'{"access_token": "fake", "expires_in": 3600}')


@dataclass(frozen=True, slots=True)
class ServerFault:
    """What a server does wrong."""

    text: str
    http: Reply | Act | None = None
    smtp: SMTPScript | None = None
    is_refusing: bool = False
    #: It shows only when the call times out.
    is_slow: bool = False

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols that can have this fault."""
        if self.is_refusing:
            return ("http", "smtp")
        return ("http",) if self.http is not None else ("smtp",)


def _smtp(text: str, *, is_slow: bool = False, **replies: bytes | Act) -> ServerFault:
    return ServerFault(text, smtp=by_verb(**replies), is_slow=is_slow)


_RETRY_AFTER = {"Retry-After": "120"}
_HTML = {"Content-Type": "text/html"}
_SILENT = "accepts the connection and never responds"

FAULTS: Mapping[str, ServerFault] = MappingProxyType(
    {
        "refused": ServerFault("no process listens on the port", is_refusing=True),
        # HTTP
        "reset": ServerFault("reads the request, then resets the connection", http=Act.RESET),
        "dropped": ServerFault("reads the request, then closes the connection", http=Act.DROP),
        "silent": ServerFault(_SILENT, http=Act.HANG, is_slow=True),
        "dripping": ServerFault(
            "responds one byte at a time", http=Reply(drip_s=0.05), is_slow=True
        ),
        "cut": ServerFault(
            "resets inside the body of a 200", http=Reply(body=b"{}" * 99, cut=True)
        ),
        "not_http": ServerFault(
            "responds in another protocol", http=Reply(raw=b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        ),
        "bad_json": ServerFault(
            "responds 200 with invalid JSON", http=Reply(body=b'{"name": "pro')
        ),
        "html": ServerFault(
            "responds 200 with a web page", http=Reply(body=b"<html>", headers=_HTML)
        ),
        "huge": ServerFault("responds 200 with a megabyte", http=Reply(body=b"x" * 1_000_000)),
        "redirect": ServerFault(
            "redirects to another path", http=Reply(302, headers={"Location": "/other"})
        ),
        "400": ServerFault("rejects the request as invalid", http=Reply(400)),
        "401": ServerFault("refuses the credentials", http=Reply(401)),
        "404": ServerFault("responds that it does not exist", http=Reply(404)),
        "410": ServerFault("responds that it is gone", http=Reply(410)),
        "429": ServerFault("throttles", http=Reply(429)),
        "429_after": ServerFault(
            "throttles, with a Retry-After", http=Reply(429, headers=_RETRY_AFTER)
        ),
        "500": ServerFault("fails", http=Reply(500, body=b"<html>oops", headers=_HTML)),
        "503": ServerFault("is unavailable", http=Reply(503)),
        "503_after": ServerFault(
            "is unavailable, with a Retry-After", http=Reply(503, headers=_RETRY_AFTER)
        ),
        # SMTP
        "smtp_reset_at_once": _smtp("resets before it greets", CONNECT=Act.RESET),
        "smtp_silent_greeting": _smtp(_SILENT, is_slow=True, CONNECT=Act.HANG),
        "smtp_no_service": _smtp("greets with 554", CONNECT=b"554 No service\r\n"),
        "smtp_bad_login": _smtp("refuses the credentials", AUTH=b"535 5.7.8 Bad\r\n"),
        "smtp_auth_wanted": _smtp("requires a login first", MAIL=b"530 5.7.0 Login\r\n"),
        "smtp_garbage": _smtp("responds in another protocol", MAIL=b"<html>oops</html>\r\n"),
        "smtp_silent_envelope": _smtp("stops responding at MAIL", is_slow=True, MAIL=Act.HANG),
        "smtp_reset_envelope": _smtp("resets at RCPT", RCPT=Act.RESET),
        "smtp_closing": _smtp("closes the connection at MAIL", MAIL=b"421 4.3.2 Bye\r\n"),
        "smtp_sender_later": _smtp("defers the sender", MAIL=b"451 4.3.0 Later\r\n"),
        "smtp_sender_refused": _smtp("refuses the sender", MAIL=b"550 5.7.1 Not you\r\n"),
        "smtp_greylisted": _smtp("defers the recipient", RCPT=b"450 4.2.0 Grey\r\n"),
        "smtp_unknown": _smtp("does not know the recipient", RCPT=b"550 5.1.1 Unknown\r\n"),
        "smtp_relay_denied": _smtp("refuses to relay", RCPT=b"550 5.7.1 Relay denied\r\n"),
        "smtp_data_refused": _smtp("refuses DATA", DATA=b"554 5.6.0 No\r\n"),
        "smtp_reset_content": _smtp("resets inside the content", BODY=Act.RESET),
        "smtp_reset_end": _smtp("resets after the content", END=Act.RESET),
        "smtp_dropped_end": _smtp("closes after the content", END=Act.DROP),
        "smtp_silent_end": _smtp("stops responding after the content", is_slow=True, END=Act.HANG),
        "smtp_garbage_end": _smtp("sends no SMTP after the content", END=b"\0\0\0\r\n"),
        "smtp_odd_end": _smtp("sends a 354 after the content", END=b"354 More?\r\n"),
        "smtp_content_later": _smtp("defers the content", END=b"451 4.3.0 Later\r\n"),
        "smtp_content_refused": _smtp("refuses the content", END=b"554 5.7.1 Spam\r\n"),
    }
)


@dataclass(frozen=True, slots=True)
class Expected:
    """The result that a provider must return for a fault."""

    verdict: Verdict
    code: str = ""
    retry_after_s: float | None = None
    recipient_dead: bool = False


_RETRY, _FAILED, _UNCERTAIN, _SENT = (
    Verdict.RETRY,
    Verdict.FAILED,
    Verdict.UNCERTAIN,
    Verdict.SENT,
)
_ANY_HTTP = {
    "refused": Expected(_RETRY, "connection"),
    "reset": Expected(_UNCERTAIN, "connection"),
    "dropped": Expected(_UNCERTAIN, "connection"),
    "silent": Expected(_UNCERTAIN, "timeout"),
    "dripping": Expected(_UNCERTAIN, "timeout"),
    "not_http": Expected(_UNCERTAIN, "invalid_response"),
    "redirect": Expected(_FAILED, "http_302"),
    "400": Expected(_FAILED, "http_400"),
    "404": Expected(_FAILED, "http_404"),
    "429": Expected(_RETRY, "http_429"),
    "429_after": Expected(_RETRY, "http_429", retry_after_s=120.0),
    "500": Expected(_RETRY, "http_500"),
    "503": Expected(_RETRY, "http_503"),
    "503_after": Expected(_RETRY, "http_503", retry_after_s=120.0),
}
_STATUS_IS_ALL = {
    "cut": Expected(_SENT),
    "bad_json": Expected(_SENT),
    "html": Expected(_SENT),
    "huge": Expected(_SENT),
}
_BODY_REQUIRED = {
    # The body of the vendor's response confirms the message. A 200 without it may come from any
    # other server.
    "cut": Expected(_UNCERTAIN, "invalid_response"),
    "bad_json": Expected(_UNCERTAIN, "invalid_response"),
    "html": Expected(_UNCERTAIN, "invalid_response"),
    "huge": Expected(_UNCERTAIN, "invalid_response"),
    "401": Expected(_RETRY, "auth"),
    "410": Expected(_FAILED, "http_410"),
}

_OWN: Mapping[str, Mapping[str, Expected]] = MappingProxyType(
    {
        # A 2xx is the whole response: its body has no meaning.
        "webhook": _ANY_HTTP
        | _STATUS_IS_ALL
        | {
            "401": Expected(_FAILED, "http_401"),
            "410": Expected(_FAILED, "http_410", recipient_dead=True),
        },
        "webpush": _ANY_HTTP
        | _STATUS_IS_ALL
        | {
            "401": Expected(_RETRY, "auth"),
            "404": Expected(_FAILED, "http_404", recipient_dead=True),
            "410": Expected(_FAILED, "http_410", recipient_dead=True),
        },
        # Apprise reports a status or a failed connection, and no more: neither how long to wait
        # nor the body of a 200. Every other failure is uncertain.
        "apprise": _ANY_HTTP
        | _STATUS_IS_ALL
        | {
            "not_http": Expected(_UNCERTAIN, "connection"),
            "cut": Expected(_UNCERTAIN, "connection"),
            "429_after": Expected(_RETRY, "http_429"),
            "503_after": Expected(_RETRY, "http_503"),
            "401": Expected(_RETRY, "auth"),
            "410": Expected(_FAILED, "http_410"),
        },
        "smtp": {
            "refused": Expected(_RETRY, "connection"),
            "smtp_reset_at_once": Expected(_RETRY, "connection"),
            "smtp_silent_greeting": Expected(_RETRY, "timeout"),
            "smtp_no_service": Expected(_RETRY, "greeting"),
            "smtp_bad_login": Expected(_RETRY, "auth"),
            "smtp_auth_wanted": Expected(_RETRY, "auth"),
            "smtp_garbage": Expected(_RETRY, "invalid_response"),
            "smtp_silent_envelope": Expected(_RETRY, "timeout"),
            "smtp_reset_envelope": Expected(_RETRY, "connection"),
            "smtp_closing": Expected(_RETRY, "smtp_421"),
            "smtp_sender_later": Expected(_RETRY, "smtp_451"),
            "smtp_sender_refused": Expected(_FAILED, "smtp_550"),
            "smtp_greylisted": Expected(_RETRY, "smtp_450"),
            "smtp_unknown": Expected(_FAILED, "smtp_550", recipient_dead=True),
            "smtp_relay_denied": Expected(_FAILED, "smtp_550"),
            "smtp_data_refused": Expected(_FAILED, "smtp_554"),
            "smtp_reset_content": Expected(_UNCERTAIN, "connection"),
            "smtp_reset_end": Expected(_UNCERTAIN, "connection"),
            "smtp_dropped_end": Expected(_UNCERTAIN, "connection"),
            "smtp_silent_end": Expected(_UNCERTAIN, "timeout"),
            "smtp_garbage_end": Expected(_UNCERTAIN, "invalid_response"),
            "smtp_odd_end": Expected(_UNCERTAIN, "smtp_354"),
            "smtp_content_later": Expected(_RETRY, "smtp_451"),
            "smtp_content_refused": Expected(_FAILED, "smtp_554"),
        },
    }
)
_NO_SERVER = frozenset({"in_app", "sandbox"})

FAULT_VERDICTS: Mapping[str, Mapping[str, Expected]] = MappingProxyType(
    # A vendor without verdicts of its own is called over HTTP and returns a message id.
    {key: _OWN.get(key, _ANY_HTTP | _BODY_REQUIRED) for key in PROVIDERS if key not in _NO_SERVER}
)

PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {key: "smtp" if key == "smtp" else "http" for key in FAULT_VERDICTS}
)
"""The protocol of each network provider. The tests run only these providers."""


def http_script(fault: ServerFault) -> HTTPScript:
    """Returns a script that has the fault, except for requests for access tokens."""

    def script(request: ReceivedRequest) -> Reply | Act:
        if request.path == GRANT_PATH:
            return _TOKEN_REPLY
        return fault.http if fault.http is not None else Reply()

    return script


def faulty_server(fault: ServerFault, protocol: str) -> Sink:
    """Returns a server with the fault, not started. For a refusing one, stop it after the start."""
    if protocol == "http":
        return HTTPSink(script=http_script(fault))
    return SMTPSink(script=fault.smtp, login=LOGIN)


def fault_table() -> str:
    """Returns docs/reference/faults.md's tables as Markdown, one for each protocol."""
    parts = [_table(protocol) for protocol in dict.fromkeys(PROTOCOLS.values())]
    return "\n\n".join(parts) + "\n"


def _table(protocol: str) -> str:
    keys = [key for key, spoken in PROTOCOLS.items() if spoken == protocol]
    rows = [
        f"## {protocol.upper()}",
        "",
        f"| fault | what the server does | {' | '.join(f'`{key}`' for key in keys)} |",
        "| --- | --- |" + " --- |" * len(keys),
    ]
    for name, fault in FAULTS.items():
        if protocol in fault.protocols:
            cells = (_cell(FAULT_VERDICTS[key][name]) for key in keys)
            rows.append(f"| `{name}` | {fault.text} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(expected: Expected) -> str:
    words = [str(expected.verdict)]
    if expected.code:
        words.append(f"`{expected.code}`")
    if expected.recipient_dead:
        words.append("dead")
    if expected.retry_after_s is not None:
        words.append(f"not before {expected.retry_after_s:g} s")
    return ", ".join(words)
