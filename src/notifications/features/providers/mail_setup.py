"""MailSetupService: from an installation that sends no mail to one that sends by SMTP.

It tries what an operator typed: the server by one real mail, and the domain by its DNS records.
Nothing is stored by a trial. Afterwards an administrator of an embedded service may store the
settings in the data folder. An operator may not: who chooses the server reads every mail, links
for new passwords included, and the scope providers:write does not give that.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from notifications.delivery.accounts import environment_settings
from notifications.delivery.mail.mime import Mail, build_mail, mailbox
from notifications.delivery.mail.settings_file import (
    VARIABLES,
    MailFileFault,
    read_mail_file,
    write_mail_file,
)
from notifications.delivery.vendor_settings import UnusableSetting
from notifications.delivery.vendors.smtp.dkim import DkimKey, read_keys
from notifications.delivery.vendors.smtp.settings import Settings as SmtpSettings
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, Refused
from notifications.features.access.throttles import count_call, throttled_error
from notifications.features.providers.mail_dns import MailFinding, Mark, check_domain, finding
from notifications.features.providers.mail_trial import MailServer, is_mail_port, try_server
from notifications.features.providers.service import SCOPE
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.crypto import seal_json, unseal_json
from notifications.models import ProviderConfig
from notifications.models.audit.actions import record_action

TRIALS_A_MINUTE = 6
"""The most trials of one member of staff."""
TRIALS_AT_ONCE = 2
"""The most trials of a web process at the same time: each holds a thread of requests."""
ENCRYPTIONS = ("auto", "starttls", "tls", "none")
_BUSY_S = 10
_TOKEN_LASTS = timedelta(minutes=15)
_STANDARD_PORT, _TLS_PORT = 587, 465
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]*")
_LONGEST = {"sender": 300, "server": 260, "user": 200, "password": 500, "to": 300}
# Names that no public DNS has (RFC 2606, RFC 6762).
_NOT_PUBLIC = ("localhost", "localdomain", "local", "example", "invalid", "test", "internal")
_trials = BoundedSemaphore(TRIALS_AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSetup:
    """What an operator typed, as it was typed."""

    sender: str
    #: host, or host:port.
    server: str
    #: One of ENCRYPTIONS; auto chooses by the port.
    encryption: str
    user: str
    password: str
    #: The address that gets the mail of the trial.
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupTrial:
    """What a trial found."""

    findings: list[MailFinding]
    #: Whether the server accepted the mail.
    is_sent: bool
    #: What `store` takes for a quarter of an hour: the settings, sealed for this caller. Empty
    #: where the server did not accept the mail.
    token: str
    #: The settings as lines of a `.env` file, without the password.
    lines: list[str]


class MailSetupService:
    """Tries settings of mail, and stores those that work."""

    def try_out(self, setup: MailSetup, *, caller: Caller) -> SetupTrial:
        """Checks the server and the domain, and sends one mail with a fixed text to `setup.to`.

        It takes at most ten seconds.

        Raises:
            InvalidRequest: with an error for each field.
            Throttled: too many trials.
            Refused: missing_scope.
        """
        _check(caller)
        server, mail, keys = _read(setup)
        count_call("mail-trial", caller, most=TRIALS_A_MINUTE, now=clock.now())
        if not _trials.acquire(blocking=False):
            raise throttled_error(_("another trial is running"), seconds=_BUSY_S)
        try:
            _record(caller, "provider.test", f"{server.host}:{server.port}")
            findings, is_sent = asyncio.run(_examine(server, mail, keys))
        finally:
            _trials.release()
        values = _values(setup, server)
        return SetupTrial(
            findings=findings,
            is_sent=is_sent,
            token=_sealed(values, caller) if is_sent else "",
            lines=[f"{name}={_shown(name, text)}" for name, text in values.items()],
        )

    def hindrance(self, *, caller: Caller) -> str:
        """Returns why the settings cannot be stored here, as a code; empty where they can be.

        not_embedded, given (the environment names some), stored_account, not_admin.
        """
        _check(caller)
        if environment().production or environment().database_url:
            return "not_embedded"
        if settings.GIVEN_MAIL_VARIABLES:
            return "given"
        if ProviderConfig.objects.filter(key=SmtpSettings.key).exists():
            return "stored_account"
        return "" if caller.manages_staff else "not_admin"

    def stored_state(self, *, caller: Caller) -> str:
        """Returns how the stored settings are: waits (for a restart), unreadable, or empty.

        Empty where none are stored, and where this process uses them.
        """
        _check(caller)
        if settings.GIVEN_MAIL_VARIABLES:
            return ""
        current = environment()
        try:
            stored = read_mail_file(current.data_dir)
        except MailFileFault:
            return "unreadable"
        fields = {name: name.removeprefix("CARILLON_").lower() for name in stored}
        in_use = all(text == str(getattr(current, fields[name])) for name, text in stored.items())
        return "" if in_use else "waits"

    def store(self, token: str, *, caller: Caller) -> None:
        """Stores the settings of a trial. They take effect when the service starts again.

        Raises:
            InvalidRequest: the token is not one of this caller, or too old.
            Conflict: they cannot be stored here; see `hindrance`.
        """
        if hindrance := self.hindrance(caller=caller):
            detail = _("the settings cannot be stored here: set them in the environment")
            raise Conflict(detail, hindrance=hindrance)
        values = _opened(token, caller)
        where = f"{values['CARILLON_SMTP_HOST']}:{values['CARILLON_SMTP_PORT']}"
        folder = environment().data_dir
        try:
            with transaction.atomic():
                _record(caller, "provider.set", where)
                write_mail_file(folder, values)
        except OSError as error:
            detail = _("%(folder)s cannot be written: %(why)s")
            detail %= {"folder": folder, "why": error.strerror}
            raise Conflict(detail) from error


def _record(caller: Caller, action: str, where: str) -> None:
    record_action(
        actor=caller.name, action=action, target=SmtpSettings.key, reason=where, at=clock.now()
    )


def _sealed(values: dict[str, str], caller: Caller) -> str:
    until = (clock.now() + _TOKEN_LASTS).timestamp()
    raw = seal_json({"mail_setup": values, "for": caller.name, "until": until})
    return base64.urlsafe_b64encode(raw).decode()


def _opened(token: str, caller: Caller) -> dict[str, str]:
    try:
        found: dict[str, Any] = unseal_json(base64.urlsafe_b64decode(token.encode()))
    except ValueError:  # also of sealed bytes that are not ours
        found = {}
    values: dict[str, str] = found.get("mail_setup", {})
    if not values or found["for"] != caller.name or found["until"] < clock.now().timestamp():
        detail = _("the trial is too old: try the settings again")
        raise InvalidRequest([FieldError("token", "invalid_setting", detail)])
    return values


async def _examine(
    server: MailServer, mail: Mail, keys: tuple[DkimKey, ...]
) -> tuple[list[MailFinding], bool]:
    domain = mail.sender.rpartition("@")[2].lower()
    if not _is_public(domain):
        found, is_sent = await try_server(server, mail, keys)
        return [*found, finding("sender", Mark.WARN, "not_public", domain)], is_sent
    (found, is_sent), records = await asyncio.gather(
        try_server(server, mail, keys), check_domain(domain, keys)
    )
    return [*found, *records], is_sent


def _is_public(domain: str) -> bool:
    return "." in domain and domain.rpartition(".")[2] not in _NOT_PUBLIC


def _read(setup: MailSetup) -> tuple[MailServer, Mail, tuple[DkimKey, ...]]:
    """Returns what was typed in the form in which it is used.

    Raises:
        InvalidRequest: with an error for each field.
    """
    errors = [
        FieldError(
            name, "invalid_setting", _("at most %(most)d characters, in one line") % {"most": most}
        )
        for name, most in _LONGEST.items()
        if len(getattr(setup, name)) > most or not _TEXT.fullmatch(getattr(setup, name))
    ]
    if errors:
        raise InvalidRequest(errors)
    host, port, errors = _server_of(setup.server)
    tls = _encryption(setup.encryption, host, port)
    if tls not in ENCRYPTIONS:
        errors.append(FieldError("encryption", "invalid_choice", _("choose one of the list")))
    if bool(setup.user) is not bool(setup.password):
        name = "password" if setup.user else "user"
        errors.append(FieldError(name, "required", _("name both, or neither for no login")))
    server = MailServer(host=host, port=port, tls=tls, user=setup.user, password=setup.password)
    if tls == "none" and setup.user and not _is_here(host):
        detail = _("a password is never sent without encryption: choose another one")
        errors.append(FieldError("encryption", "invalid_setting", detail))
    errors += _faults_of_addresses(setup)
    if errors:
        raise InvalidRequest(errors)
    try:
        keys = read_keys(environment_settings(SmtpSettings).smtp_dkim_keys)
        return server, _mail_of(setup), keys
    except (ValueError, UnusableSetting) as error:
        raise InvalidRequest([FieldError("sender", "invalid_setting", str(error))]) from error


def _server_of(text: str) -> tuple[str, int, list[FieldError]]:
    """Returns the host, the port and the errors of `host` or `host:port`."""
    host, port, wrong = "", 0, _("write a name or an address, such as mail.example.com:587")
    try:
        parts = urlsplit(f"//{text.strip()}")
        host, port = (parts.hostname or "").rstrip("."), parts.port or _STANDARD_PORT
        if ":" not in host:
            host = host.encode("idna").decode()
    except (ValueError, UnicodeError):
        return host, port, [FieldError("server", "invalid_setting", wrong)]
    plain = parts.netloc == text.strip() and "@" not in text
    if not plain or not (":" in host or _HOST.fullmatch(host)):
        return host, port, [FieldError("server", "invalid_setting", wrong)]
    if not is_mail_port(port):
        detail = _("this port is of another service: use 587, 465, 25, or one from 1024 on")
        return host, port, [FieldError("server", "invalid_setting", detail)]
    return host, port, []


def _encryption(chosen: str, host: str, port: int) -> str:
    if chosen != "auto":
        return chosen
    if port == _TLS_PORT:
        return "tls"
    return "auto" if _is_here(host) else "starttls"


def _is_here(host: str) -> bool:
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.[0-9]{1,3}){3}", host))


def _faults_of_addresses(setup: MailSetup) -> list[FieldError]:
    errors = []
    for name, text in (("sender", setup.sender), ("to", setup.to)):
        try:
            mailbox(text, local_too=name == "sender")
        except ValueError:
            detail = _("write an address, such as hello@example.com")
            errors.append(FieldError(name, "invalid_setting", detail))
    return errors


def _mail_of(setup: MailSetup) -> Mail:
    name = environment().app_name
    return build_mail(
        sender=setup.sender,
        recipient=parseaddr(setup.to)[1] or setup.to,
        subject=_("%(name)s sends mails") % {"name": name},
        text=_("This is the first mail of %(name)s. Your mail settings work.") % {"name": name},
        reference=f"test{secrets.token_hex(8)}.email",
        date_s=clock.now().timestamp(),
    )


def _values(setup: MailSetup, server: MailServer) -> dict[str, str]:
    texts = ("smtp", setup.sender, server.host, str(server.port), server.tls)
    return dict(zip(VARIABLES, (*texts, server.user, server.password), strict=True))


def _shown(name: str, text: str) -> str:
    """Returns a value as a line of `.env` has it; the password is left to the reader."""
    if name == "CARILLON_SMTP_PASSWORD":
        return "'...'" if text else ""
    return f"'{text}'" if re.search(r"[^\w.:@-]", text) else text


def _check(caller: Caller) -> None:
    if not caller.may(SCOPE):
        raise Refused(f"this needs the scope {SCOPE}", code="missing_scope", scope=SCOPE)
