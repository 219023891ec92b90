"""The typed `CARILLON_*` environment: every variable, its type, default and meaning, in one list;
those of a vendor stand in its folder, `notifications/delivery/vendors/<vendor>/settings.py`.

Read once at start. All mistakes are reported together, each naming the variable and the mend.
docs/reference/settings.md is generated from this list.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from carillon.settings.database import database_url as _database_url
from carillon.settings.readings import (
    countries,
    domain_rates,
    keywords,
    micros,
    networks,
    prices,
)
from carillon.settings.renamed import with_new_names
from notifications.delivery.registry import carriers_of, settings_classes
from notifications.domain.settings import (
    integer,
    one_of,
    setting,
    signing_secret,
    text,
    web_url,
    words,
)

SERVED_AT = "CARILLON_SERVED_AT"
"""Where the web process of this group listens: set by the commands that start it."""
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class SettingsError(Exception):
    """One or more CARILLON_* variables cannot be used; the text names each and says how to mend it."""


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError
        return value

    read.__doc__ = f"a number of seconds from {low:g} to {high:g}"
    return read


def _flag(text: str) -> bool:
    """true or false (also 1, 0, yes, no, on, off)"""
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    return words[text.strip().lower()]


def _weighted(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        names = []
        for part in text.split(","):
            name, _, weight = part.strip().partition("=")
            if name not in choices or not 1 <= int(weight or 1) <= 1000:
                raise ValueError
            names.append(name)
        if len(set(names)) != len(names):
            raise ValueError
        return text

    read.__doc__ = "one of " + ", ".join(choices) + ", or several with weights such as a=3,b=1"
    return read


def _rates(text: str) -> tuple[str, ...]:
    """provider=rate pairs separated by commas, a rate being such as 14/s, 10000/min, 500/h or off"""
    pairs = words(text)
    for pair in pairs:
        if not re.fullmatch(r"[a-z_]+=(off|[1-9][0-9]{0,8}/(s|min|h))", pair):
            raise ValueError
    return pairs


def _prices(text: str) -> tuple[str, ...]:
    """channel=price pairs separated by commas, such as sms=0.045,email=0.0001"""
    pairs = words(text)
    for pair in pairs:
        if not re.fullmatch(r"[a-z_]+=[0-9]{1,9}(\.[0-9]{1,9})?", pair):
            raise ValueError
    return pairs


def _path(text: str) -> Path:
    """a folder's path"""
    return Path(text).expanduser()


def _redis_url(text: str) -> str:
    """redis://host:port/number, rediss:// or unix:///path/to/socket"""
    if text and urlsplit(text).scheme not in ("redis", "rediss", "unix"):
        raise ValueError
    return text


@dataclass(frozen=True, kw_only=True)
class _Own:
    """What the environment says, typed. Field `public_url` is the variable `CARILLON_PUBLIC_URL`."""

    # fmt: off
    data_dir: Path = setting(Path("var"), _path, "Where the embedded service keeps its database, keys and sockets.")
    database_url: str = setting("", _database_url, "The database. Empty: SQLite in `CARILLON_DATA_DIR`.")
    database_pool_size: int = setting(12, integer(1, 500), "PostgreSQL connections a process keeps at most.")
    database_pool_timeout_seconds: float = setting(5.0, _seconds(0.1, 60), "How long one waits for a connection while all of them are in use.")
    database_lock_timeout_seconds: float = setting(5.0, _seconds(0.1, 600), "How long a statement waits for a lock (`lock_timeout`); on SQLite, a writer for its turn.")
    database_statement_timeout_seconds: float = setting(30.0, _seconds(1, 3600), "How long PostgreSQL works on a statement (`statement_timeout`). Migrations have an hour.")
    database_idle_timeout_seconds: float = setting(10.0, _seconds(1, 3600), "How long PostgreSQL lets a transaction stand idle before it ends the session (`idle_in_transaction_session_timeout`).")
    redis_url: str = setting("", _redis_url, "Redis or Valkey for wake-ups. Empty: a local socket, and polling.")
    production: bool = setting(False, _flag, "Refuse to start on generated secrets, a public URL that is missing or not https, and any host; HSTS.")
    secret_key: str = setting("", text, "Signs and encrypts. Generated and kept in the data folder unless production.")
    jwt_secret: str = setting("", text, "Verifies HS256 tokens that the platform mints. Empty: derived from the secret key.")
    jwt_jwks_url: str = setting("", text, "Where the platform publishes its RS256/ES256 keys. Empty: HS256 only.")
    allowed_hosts: tuple[str, ...] = setting(("*",), words, "Host names that the web tier answers to. In production `*` is refused; not set, it is the host of `CARILLON_PUBLIC_URL`, and loopback.")
    public_url: str = setting("http://127.0.0.1:8000", web_url, "Where people reach this service: links in mails begin with it. Not set, they lead to where `carillon serve` or `carillon web` listens; production needs https.")
    app_name: str = setting("Carillon", text, "The platform's name in templates.")
    app_url: str = setting("http://127.0.0.1:8000", web_url, "The platform's own address in templates.")
    locale: str = setting("en", text, "The service's default locale for templates.")
    timezone: str = setting("UTC", text, "The service's default IANA time zone.")
    admin_password: str = setting("", text, "The demo administrator's password. Empty: generated and printed once.")
    default_consent: bool = setting(False, _flag, "The data-processing consent that new users start with.")
    email_provider: str = setting("sandbox", _weighted(*carriers_of("email")), "Who carries email. Several share it by weight and stand in for each other: `ses=3,smtp=1`.")
    email_from: str = setting("Carillon <notifications@localhost>", text, "The default sender of mails.")
    push_provider: str = setting("sandbox", one_of(*carriers_of("push")), "Who carries push; with fcm browsers are reached by Web Push as well, with webpush only they.")
    sms_provider: str = setting("sandbox", _weighted(*carriers_of("sms")), "Who carries SMS. Several share it by weight: `twilio=3,sandbox=1`.")
    telegram_provider: str = setting("sandbox", _weighted(*carriers_of("telegram")), "Who carries Telegram messages.")
    chat_provider: str = setting("sandbox", _weighted(*carriers_of("chat")), "Who carries messages to chats.")
    webhook_provider: str = setting("webhook", _weighted(*carriers_of("webhook")), "Who carries webhooks.")
    verified_senders: tuple[str, ...] = setting((), words, "Verified senders that a send may name, separated by commas: email addresses, whole domains as @example.com, phone numbers. `CARILLON_EMAIL_FROM` is always one.")
    sms_countries: tuple[str, ...] = setting((), countries, "Countries that SMS may go to, such as `US,CA,GB`. Empty: all.")
    sms_daily_spend: int = setting(0, micros, "What the SMS of a day may cost together, in the currency of `CARILLON_SMS_PRICES`. 0: no limit.")
    sms_prices: tuple[str, ...] = setting((), prices, "The price of an SMS segment by country, `*` for all others: `US=0.0079,GB=0.04,*=0.1`.")
    sms_keywords: tuple[str, ...] = setting((), keywords, "More words that answers to SMS may be, such as `arret=stop`.")
    sms_help_text: str = setting("", text, "What HELP is answered. Empty: nothing, since Twilio answers by itself.")
    callback_secret: str = setting("", signing_secret, "Checks `POST /api/v1/callbacks/generic` (Standard Webhooks, `whsec_...`). Empty: derived from the secret key.")
    cancelled_retention_days: int = setting(30, integer(1, 3650), "How long a scheduled notification that was cancelled is kept.")
    receipt_retention_days: int = setting(3, integer(1, 30), "How long a receipt for an unknown message waits for it.")
    webhook_allow_private: bool = setting(False, _flag, "Let webhooks reach private and loopback addresses (development only).")
    lease_seconds: float = setting(10.0, _seconds(1, 3600), "How long a worker may hold a batch without renewing its lease. It renews at a third of that; what a worker held whose host vanished waits so long.")
    provider_timeout_seconds: float = setting(30.0, _seconds(0.1, 300), "The longest a provider call may take. It may outlast the lease, which is renewed meanwhile.")
    poll_seconds: float = setting(0.25, _seconds(0.01, 60), "How often a worker looks for due batches when nothing wakes it.")
    rate_limits: tuple[str, ...] = setting((), _rates, "Limits of providers, over their own: `ses=50/s,fcm=10000/min,smtp=off`.")
    email_domain_limits: tuple[str, ...] = setting((), domain_rates, "Limits for each email provider on mails to a domain and those below it: `gmail.com=5/s,example.org=100/min`.")
    breaker_failures: int = setting(5, integer(1, 1000), "Faults of a provider within a minute, when at least half of its calls failed, that open its breaker.")
    breaker_open_seconds: float = setting(60.0, _seconds(1, 3600), "How long an open breaker leaves a provider alone before one message probes it.")
    max_attachment_bytes: int = setting(7_000_000, integer(0, 50_000_000), "How many bytes the files of one send may have together. They come as base64, so `CARILLON_MAX_BODY_BYTES` must hold 4/3 of it.")
    broadcast_approval_threshold: int = setting(0, integer(0, 1_000_000_000), "A broadcast to more recipients than this waits until somebody other than its author approves it. 0: none does.")
    channel_prices: tuple[str, ...] = setting((), _prices, "What a message costs, for the estimates of dry runs: `sms=0.045,email=0.0001`. An SMS costs each of its segments.")
    price_currency: str = setting("EUR", text, "The currency of those prices.")
    render_processes: int = setting(2, integer(1, 64), "Processes that a web process keeps at most for the trial renders of sends.")
    preview_processes: int = setting(2, integer(1, 64), "Processes that a web process keeps at most for what authors try out: validation, previews, simulations.")
    max_body_bytes: int = setting(10_000_000, integer(1_000, 1_000_000_000), "The largest request body that is read.")
    max_queued_requests: int = setting(128, integer(0, 10_000), "Requests of a web process that may wait for one of its threads; more are answered 503 `overloaded` at once.")
    queue_timeout_seconds: float = setting(5.0, _seconds(0.1, 60), "How long a request may wait for a thread before it is answered so.")
    header_timeout_seconds: float = setting(10.0, _seconds(0.1, 600), "How long a client may take to send a request's headers; then 408.")
    body_timeout_seconds: float = setting(60.0, _seconds(0.1, 3600), "How long a client may take to send a request's body; then 408.")
    keep_alive_seconds: float = setting(5.0, _seconds(0.1, 600), "How long a connection may stay open between requests.")
    max_connections: int = setting(1_000, integer(1, 1_000_000), "Connections of a web process at once. One more closes one that only waits; where none does, it is answered 503.")
    max_header_bytes: int = setting(32_768, integer(1_000, 1_000_000), "The bytes of a request's path and headers; more are answered 431.")
    max_headers: int = setting(100, integer(10, 10_000), "The headers of a request; more are answered 431.")
    trusted_proxies: tuple[str, ...] = setting((), networks, "Addresses and networks of the proxies whose `X-Forwarded-For` is believed, such as `10.0.0.0/8`. Empty: whoever connects is the client.")
    person_sends_hourly: int = setting(100, integer(0, 1_000_000_000), "Sends that a person may ask for within an hour; more are 429. 0: no limit.")
    person_bulks_hourly: int = setting(10, integer(0, 1_000_000_000), "Bulk sends that a person may ask for within an hour. 0: no limit.")
    staff_sends_hourly: int = setting(0, integer(0, 1_000_000_000), "The same of a member of staff.")
    staff_bulks_hourly: int = setting(0, integer(0, 1_000_000_000), "The same of a member of staff, for bulk sends.")
    service_sends_hourly: int = setting(0, integer(0, 1_000_000_000), "The same of an API key.")
    service_bulks_hourly: int = setting(0, integer(0, 1_000_000_000), "The same of an API key, for bulk sends.")
    idempotency_hours: int = setting(24, integer(1, 720), "How long an Idempotency-Key replays its answer.")
    metrics_port: int = setting(0, integer(0, 65535), "Where a worker serves its own `/metrics`, for machines without a web tier. 0: nowhere.")
    dead_letter_alert_threshold: int = setting(100, integer(1, 1_000_000_000), "How many open dead letters make an alert: a critical log line, the event `dead_letters.alert`, a degraded `/health`.")
    log_level: str = setting("INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "How much is logged.")
    log_format: str = setting("text", one_of("text", "json"), "json for machines, text for people.")
    # fmt: on

    def variable(self, name: str) -> str:
        """The environment variable of a field."""
        return f"CARILLON_{name.upper()}"


if TYPE_CHECKING:
    Environment = _Own  # a vendor's settings are read by their own type: `accounts.settings_of`
else:
    Environment = make_dataclass(
        "Environment",
        (),
        bases=(*reversed(settings_classes()), _Own),
        namespace={"__doc__": _Own.__doc__, "__module__": __name__},
        frozen=True,
        kw_only=True,
    )


def dotenv(path: Path) -> dict[str, str]:
    """`NAME=value` lines of a .env file; the real environment wins over them."""
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {
        name.strip().removeprefix("export "): value.strip().strip("'\"")
        for name, value in pairs
        if not name.lstrip().startswith("#")
    }


def read_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Reads, types and checks every variable.

    Raises:
        SettingsError: with a line for each variable that cannot be used.
    """
    given = {**dotenv(Path(".env")), **os.environ} if environ is None else environ
    source = with_new_names(given)
    values: dict[str, Any] = {}
    faults: list[str] = []
    known = {f"CARILLON_{item.name.upper()}": item for item in fields(Environment)}
    for variable, item in known.items():
        text = source.get(variable, "").strip()
        if not text:
            continue
        try:
            values[item.name] = item.metadata["read"](text)
        except (ValueError, KeyError):
            wanted = item.metadata["read"].__doc__
            private = _is_private(item.name, text)
            shown = "(hidden)" if private else repr(text)
            faults.append(f"{variable} is {shown}: set it to {wanted}")
    environment = Environment(**_completed(values, source))
    faults += _check_together(environment)
    if faults:
        raise SettingsError("the environment cannot be used:\n  " + "\n  ".join(faults))
    return _with_secrets(environment)


def _completed(values: dict[str, Any], source: Mapping[str, str]) -> dict[str, Any]:
    """Adds what follows from elsewhere: links from the served address, hosts from the links."""
    served = source.get(SERVED_AT, "")
    if served:
        values = {"public_url": served, "app_url": served, **values}
    host = urlsplit(values.get("public_url", "")).hostname
    if values.get("production") and host:
        values = {"allowed_hosts": (host, *_LOOPBACK_HOSTS), **values}
    return values


def _is_private(name: str, text: str) -> bool:
    """Whether a value that cannot be used must not be repeated in the error."""
    words = ("secret", "password", "token", "private_key", "settings")
    return any(word in name for word in words) or "@" in text


def _check_together(environment: Environment) -> list[str]:
    faults = []
    if environment.production:
        if len(environment.secret_key) < 32:
            faults.append(
                "CARILLON_SECRET_KEY is missing or short: in production set it to 32 or more"
                " random characters and keep it"
            )
        if not environment.database_url.startswith("postgres"):
            faults.append(
                "CARILLON_DATABASE_URL is not PostgreSQL: production needs postgres://..."
            )
        if not environment.public_url.startswith("https://"):
            faults.append(
                "CARILLON_PUBLIC_URL is missing or no https URL: in production set it to the"
                " https:// address at which people reach this service"
            )
        if "*" in environment.allowed_hosts:
            faults.append(
                "CARILLON_ALLOWED_HOSTS is *: in production name the hosts, or leave it out for"
                " the host of CARILLON_PUBLIC_URL and this machine"
            )
    for vendor in settings_classes():
        faults += vendor.start_faults(environment)
    return faults


def _with_secrets(environment: Environment) -> Environment:
    """Fills in the secrets that an embedded installation makes for itself and keeps."""
    if environment.secret_key:
        return environment
    kept = environment.data_dir / "secret-key"
    try:
        environment.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not kept.exists():
            _make_secret(kept)
        secret = kept.read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"CARILLON_DATA_DIR ({environment.data_dir}) cannot be written: {error.strerror};"
            " set it to a folder of yours, or set CARILLON_SECRET_KEY"
        ) from error
    if not secret:
        raise SettingsError(
            f"{kept} is empty: put the secret that was in it back, or set CARILLON_SECRET_KEY to it;"
            " on a new installation delete the file"
        )
    values = {item.name: getattr(environment, item.name) for item in fields(environment)}
    return Environment(**{**values, "secret_key": secret})


def _make_secret(kept: Path) -> None:
    """Of processes that start at once one wins, and none sees a file that is not whole yet."""
    draft = kept.with_name(f"secret-key.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, kept)
    finally:
        draft.unlink()
