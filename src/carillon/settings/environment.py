"""The typed `CARILLON_*` environment: every variable with its type, default and meaning.

A vendor's variables are in its folder, `notifications/delivery/vendors/<vendor>/settings.py`.
The environment is read once at start. All errors are reported together; each names the variable and
says how to correct it. docs/reference/settings.md is generated from this list.
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
    contacts,
    countries,
    domain_rates,
    flag,
    keywords,
    log_place,
    micros,
    networks,
    prices,
    seeds,
)
from carillon.settings.realtime import RealtimeSettings, realtime_faults
from carillon.settings.renamed import name_given, with_new_names
from carillon.settings.sign_in import SignInSettings, sign_in_faults
from carillon.settings.topics.learning import LearningSettings
from carillon.settings.topics.sources import variables_given, with_mail_file
from carillon.settings.topics.tracking import TrackingSettings
from notifications.delivery.mail.settings_file import MailFileFault
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
"""The address of this group's web process; the commands that start it set this variable."""
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class SettingsError(Exception):
    """Some CARILLON_* variables are invalid; the text names each and says how to correct it."""


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError
        return value

    read.__doc__ = f"a number of seconds from {low:g} to {high:g}"
    return read


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
    """provider=rate pairs separated by commas; a rate is such as 14/s, 10000/min, 500/h or off"""
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
    """the path of a folder"""
    return Path(text).expanduser()


def _redis_url(text: str) -> str:
    """redis://host:port/number, rediss:// or unix:///path/to/socket"""
    if text and urlsplit(text).scheme not in ("redis", "rediss", "unix"):
        raise ValueError
    return text


@dataclass(frozen=True, kw_only=True)
class _Own(SignInSettings, RealtimeSettings, TrackingSettings, LearningSettings):
    """The typed environment. The field `public_url` is the variable `CARILLON_PUBLIC_URL`."""

    # fmt: off
    data_dir: Path = setting(Path("var"), _path, "The folder in which the embedded service stores its database, keys and sockets.")
    database_url: str = setting("", _database_url, "The URL of the database. Empty: SQLite in `CARILLON_DATA_DIR`.")
    database_pool_size: int = setting(16, integer(1, 500), "The most PostgreSQL connections of a process.")
    database_pool_timeout_seconds: float = setting(5.0, _seconds(0.1, 60), "How long a thread waits for a connection while all are in use.")
    database_lock_timeout_seconds: float = setting(5.0, _seconds(0.1, 600), "How long a statement waits for a lock (`lock_timeout`). On SQLite: how long a writer waits for its turn.")
    database_statement_timeout_seconds: float = setting(30.0, _seconds(1, 3600), "How long PostgreSQL may run a statement (`statement_timeout`). Migrations have an hour.")
    database_idle_timeout_seconds: float = setting(10.0, _seconds(1, 3600), "How long a transaction may be idle before PostgreSQL ends its session (`idle_in_transaction_session_timeout`).")
    redis_url: str = setting("", _redis_url, "The URL of Redis or Valkey, for wake-ups. Empty: a local socket and polling.")
    production: bool = setting(False, flag, "Production mode: sends HSTS, and refuses to start with a generated secret, with a public URL that is missing or not https, or with `*` as allowed host.")
    secret_key: str = setting("", text, "The secret that signs and encrypts. Outside of production it is generated and stored in the data folder.")
    master_key: str = setting("", text, "The key that wraps the keys of people: 32 bytes in base64. Empty: `CARILLON_MASTER_KEY_FILE`, else derived from the secret key. With `CARILLON_KEY_SERVICE` it is the wrapped form that the service returned.")
    master_key_file: str = setting("", text, "The path of a file with the master key, in the same form.")
    old_master_keys: tuple[str, ...] = setting((), words, "Earlier master keys, until `carillon keys rotate` has finished, separated by commas.")
    key_service: str = setting("", text, "A key management service, as `module:Class`. It has the methods `wrap` and `unwrap`, and is called once when a process starts. Empty: none.")
    keys_dir: Path = setting(Path(), _path, "The folder of the key store of an embedded service. Empty: a folder beside `CARILLON_DATA_DIR`, with its name and `-keys`.")
    keys_database_url: str = setting("", _database_url, "The URL of the PostgreSQL database with the keys of people. It should be another cluster with backups of its own. Empty: the main database.")
    backup_keys_days: int = setting(7, integer(1, 7), "After how many days `carillon backup` deletes the archives of keys in its folder. A person who was erased since is readable with them.")
    postgres_programs: str = setting("", text, "The folder of `pg_dump` and `pg_restore`, of the server's version or a newer one. Empty: they are on `PATH`.")
    jwt_secret: str = setting("", text, "The secret that verifies HS256 tokens of the platform. Empty: derived from the secret key.")
    jwt_jwks_url: str = setting("", text, "The URL at which the platform publishes its RS256 and ES256 keys. Empty: only HS256.")
    allowed_hosts: tuple[str, ...] = setting(("*",), words, "The host names that the web tier serves. Production refuses `*`; its default is the host of `CARILLON_PUBLIC_URL` and loopback.")
    public_url: str = setting("http://127.0.0.1:8000", web_url, "The address of this service, with which links in mails begin. If not set, links lead to the address at which `carillon serve` or `carillon web` listens. Production requires https.")
    app_name: str = setting("Carillon", text, "The platform's name in templates.")
    app_url: str = setting("http://127.0.0.1:8000", web_url, "The platform's address in templates.")
    locale: str = setting("en", text, "The service's default locale for templates.")
    timezone: str = setting("UTC", text, "The service's default IANA time zone.")
    admin_password: str = setting("", text, "The password of the demo administrator. Empty: generated and printed once.")
    default_consent: bool = setting(False, flag, "The initial data-processing consent of new users.")
    email_provider: str = setting("sandbox", _weighted(*carriers_of("email")), "The providers of email. Several share the mails by weight and replace one another in failures: `ses=3,smtp=1`.")
    email_from: str = setting("Carillon <notifications@localhost>", text, "The default sender of mails.")
    push_provider: str = setting("sandbox", _weighted(*carriers_of("push")), "The providers of push. `fcm` also reaches browsers, by Web Push; `webpush` reaches only browsers. The sandbox may share the messages by weight: `fcm=9,sandbox=1`.")
    fallback_burst_seconds: int = setting(300, integer(0, 3_600), "Mails and pushes that follow unread notifications of one person within so many seconds become one. 0: each by itself.")
    push_retractions: bool = setting(True, flag, "Whether a web push that a sender takes back is closed in browsers, by a push without a text. Off: for an own service worker that would show such a push as an empty notification.")
    sms_provider: str = setting("sandbox", _weighted(*carriers_of("sms")), "The providers of SMS. Several share the messages by weight: `twilio=3,sandbox=1`.")
    telegram_provider: str = setting("sandbox", _weighted(*carriers_of("telegram")), "The providers of Telegram messages.")
    chat_provider: str = setting("sandbox", _weighted(*carriers_of("chat")), "The providers of chat messages.")
    webhook_provider: str = setting("webhook", _weighted(*carriers_of("webhook")), "The providers of webhooks.")
    verified_senders: tuple[str, ...] = setting((), words, "The verified senders that a send may name, separated by commas: email addresses, whole domains such as @example.com, phone numbers. `CARILLON_EMAIL_FROM` is always allowed.")
    sms_countries: tuple[str, ...] = setting((), countries, "The countries to which SMS may be sent, such as `US,CA,GB`. Empty: all.")
    sms_daily_spend: int = setting(0, micros, "The most that all SMS of a day may cost, in the currency of `CARILLON_SMS_PRICES`. 0: no limit.")
    sms_prices: tuple[str, ...] = setting((), prices, "The price of an SMS segment by country, `*` for all others: `US=0.0079,GB=0.04,*=0.1`.")
    sms_keywords: tuple[str, ...] = setting((), keywords, "Additional keywords in replies to SMS, such as `arret=stop`.")
    sms_help_text: str = setting("", text, "The reply to HELP. Empty: no reply, because Twilio replies itself.")
    callback_secret: str = setting("", signing_secret, "The secret that verifies `POST /api/v1/callbacks/generic` (Standard Webhooks, `whsec_...`). Empty: derived from the secret key.")
    facts_retention_days: int = setting(396, integer(1, 3_650), "How many days notifications, messages, attempts, events, bulk calls and broadcasts are stored. A category may have its own number.")
    contents_retention_days: int = setting(30, integer(1, 3_650), "How many days texts, contexts and raw responses of notifications are stored.")
    inbox_retention_days: int = setting(180, integer(1, 3_650), "How many days a notification stays in an inbox. One that is unread still is archived first.")
    inbox_change_retention_days: int = setting(30, integer(1, 3_650), "How many days changes in inboxes are stored. A client that was away for longer fetches its inbox again.")
    metrics_retention_days: int = setting(1_100, integer(30, 3_650), "How many days counts of messages are stored.")
    event_retention_days: int = setting(396, integer(1, 3_650), "How many days events that callers report, and conversions, are stored.")
    outbox_retention_days: int = setting(7, integer(1, 365), "How many days ended deliveries to status webhooks are stored.")
    status_event_retention_days: int = setting(30, integer(1, 365), "How many days the events of status webhooks are stored, and can be replayed.")
    callback_retention_days: int = setting(30, integer(1, 365), "How many days raw receipts of vendors are stored after they were applied.")
    digest_retention_days: int = setting(90, integer(1, 3_650), "How many days sent digests and their lists of messages are stored.")
    refused_send_retention_days: int = setting(400, integer(1, 3_650), "How many days sends that were refused because the user opted out are stored.")
    inbound_sms_retention_days: int = setting(90, integer(1, 3_650), "How many days incoming SMS are stored.")
    sms_charge_retention_days: int = setting(3, integer(2, 90), "How many days the charge of each SMS is stored. The sums of days stay longer.")
    attachment_retention_days: int = setting(30, integer(1, 365), "How many days after their send was due files are stored.")
    queued_task_retention_days: int = setting(7, integer(1, 365), "How many days ended tasks of the database queue are stored.")
    item_fault_retention_days: int = setting(90, integer(2, 3_650), "How many days failures of periodic work are stored.")
    overrun_retention_days: int = setting(30, integer(1, 365), "How many days counts of renders over the limit are stored.")
    idle_service_retention_days: int = setting(7, integer(1, 365), "How many days the limits and circuit breakers of services that are not used are stored.")
    retention_alert_hours: int = setting(24, integer(1, 8_760), "How many hours emptying and deleting by age may be behind before `/health` is degraded.")
    cancelled_retention_days: int = setting(30, integer(1, 3650), "How many days a cancelled scheduled notification is stored.")
    receipt_retention_days: int = setting(3, integer(1, 30), "How many days a receipt for an unknown message waits for that message.")
    audit_keys: tuple[str, ...] = setting((), seeds, "Seeds of the keys that sign the audit log's checkpoints, separated by commas (`openssl rand -base64 32`). The first one signs, the others still verify. Empty: derived from the secret key.")
    audit_retention_days: int = setting(1100, integer(30, 36500), "How many days the contents of audit entries are stored. Their hashes, actors, actions and targets stay.")
    audit_decision_retention_days: int = setting(400, integer(30, 36500), "How many days the contents of the audit's slices are stored, with which single decisions can be proved.")
    webhook_allow_private: bool = setting(False, flag, "Allow webhooks to private and loopback addresses (development only).")
    lease_seconds: float = setting(10.0, _seconds(1, 3600), "How long a worker's lease of a batch lasts. The worker renews it after a third of that time. When a host vanishes, its batches wait this long.")
    provider_timeout_seconds: float = setting(30.0, _seconds(0.1, 300), "The longest time that a provider call may take. It may be longer than the lease, which is renewed during the call.")
    poll_seconds: float = setting(0.25, _seconds(0.01, 60), "How often a worker polls for due batches when nothing wakes it.")
    rate_limits: tuple[str, ...] = setting((), _rates, "Rate limits that replace those of the providers: `ses=50/s,fcm=10000/min,smtp=off`.")
    email_domain_limits: tuple[str, ...] = setting((), domain_rates, "Rate limits of each email provider for mails to a domain and its subdomains: `gmail.com=5/s,example.org=100/min`.")
    breaker_failures: int = setting(5, integer(1, 1000), "The faults of a provider within a minute that open its circuit breaker, if at least half of its calls failed.")
    breaker_open_seconds: float = setting(60.0, _seconds(1, 3600), "How long an open circuit breaker stops calls to a provider before one message probes it.")
    max_attachment_bytes: int = setting(7_000_000, integer(0, 50_000_000), "The most bytes of all files of one send. Files arrive as base64, so `CARILLON_MAX_BODY_BYTES` must be at least 4/3 of this.")
    broadcast_approval_threshold: int = setting(0, integer(0, 1_000_000_000), "A broadcast or campaign to more recipients than this, and every series, waits until a person other than its author approves it. 0: only what asks for it waits.")
    channel_prices: tuple[str, ...] = setting((), _prices, "The price of a message, for the estimates of dry runs: `sms=0.045,email=0.0001`. For SMS it is the price of a segment.")
    price_currency: str = setting("EUR", text, "The currency of `CARILLON_CHANNEL_PRICES`.")
    render_processes: int = setting(2, integer(1, 64), "The most render processes of a web process for the trial renders of sends.")
    console_images: bool = setting(False, flag, "Whether previews in the console load pictures of other hosts, through this service. Each preview then calls the hosts that its author named.")
    preview_processes: int = setting(2, integer(1, 64), "The most render processes of a web process for drafts: validation, previews, simulations.")
    max_body_bytes: int = setting(10_000_000, integer(1_000, 1_000_000_000), "The most bytes of a request body.")
    max_queued_requests: int = setting(128, integer(0, 10_000), "The most requests of a web process that may wait for a thread. Further requests get 503 `overloaded` at once.")
    queue_timeout_seconds: float = setting(5.0, _seconds(0.1, 60), "How long a request may wait for a thread before it gets 503 `overloaded`.")
    header_timeout_seconds: float = setting(10.0, _seconds(0.1, 600), "How long a client may take to send a request's headers; then it gets 408.")
    body_timeout_seconds: float = setting(60.0, _seconds(0.1, 3600), "How long a client may take to send a request's body; then it gets 408.")
    keep_alive_seconds: float = setting(5.0, _seconds(0.1, 600), "How long a connection may be idle between requests.")
    max_connections: int = setting(1_000, integer(1, 1_000_000), "The most connections of a web process. A further connection closes an idle one; if none is idle, it gets 503.")
    max_header_bytes: int = setting(32_768, integer(1_000, 1_000_000), "The most bytes of a request's path and headers; a larger request gets 431.")
    max_headers: int = setting(100, integer(10, 10_000), "The most headers of a request; a request with more gets 431.")
    trusted_proxies: tuple[str, ...] = setting((), networks, "The addresses and networks of proxies whose `X-Forwarded-For` is trusted, such as `10.0.0.0/8`. Empty: the peer of the connection is the client.")
    person_sends_hourly: int = setting(100, integer(0, 1_000_000_000), "The most sends that a user may request in an hour; further ones get 429. 0: no limit.")
    person_bulks_hourly: int = setting(10, integer(0, 1_000_000_000), "The most bulk sends that a user may request in an hour. 0: no limit.")
    staff_sends_hourly: int = setting(0, integer(0, 1_000_000_000), "The most sends that a staff user may request in an hour. 0: no limit.")
    staff_bulks_hourly: int = setting(0, integer(0, 1_000_000_000), "The most bulk sends that a staff user may request in an hour. 0: no limit.")
    service_sends_hourly: int = setting(0, integer(0, 1_000_000_000), "The most sends that an API key may request in an hour. 0: no limit.")
    service_bulks_hourly: int = setting(0, integer(0, 1_000_000_000), "The most bulk sends that an API key may request in an hour. 0: no limit.")
    idempotency_hours: int = setting(24, integer(1, 720), "How many hours a repeated Idempotency-Key gets the stored response.")
    metrics_port: int = setting(0, integer(0, 65535), "The port at which a worker serves its own `/metrics`, for machines without a web tier. 0: no port.")
    dead_letter_alert_threshold: int = setting(100, integer(1, 1_000_000_000), "The number of open dead letters that raises an alert: a critical log line, the event `dead_letters.alert`, a degraded `/health`.")
    log_level: str = setting("INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "The lowest level that is logged.")
    log_format: str = setting("text", one_of("text", "json"), "The format of log lines: `json` for machines, `text` for people.")
    security_log: str = setting("stderr", log_place, "Where [security events](../security/events.md) go, as JSON lines: `stderr`, or the path of a file that only the service's user can read.")
    security_contact: tuple[str, ...] = setting((), contacts, "Where researchers report a weakness, for `/.well-known/security.txt`: `mailto:security@example.org`. Empty: the page is 404.")
    # fmt: on

    def variable(self, name: str) -> str:
        """Returns the environment variable of a field."""
        return f"CARILLON_{name.upper()}"


if TYPE_CHECKING:
    Environment = _Own  # `accounts.settings_of` returns a vendor's settings by their own type
else:
    Environment = make_dataclass(
        "Environment",
        (),
        bases=(*reversed(settings_classes()), _Own),
        namespace={"__doc__": _Own.__doc__, "__module__": __name__},
        frozen=True,
        kw_only=True,
    )


def read_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Reads, converts and checks every variable.

    environ: the variables; without it those of this process, of .env and of the data folder.

    Raises:
        SettingsError: with a line for each invalid variable.
    """
    try:
        given = with_mail_file(variables_given()) if environ is None else environ
    except MailFileFault as error:
        raise SettingsError(str(error)) from error
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
            name = name_given(variable, given)
            target = "it" if name == variable else variable
            faults.append(f"{name} is {shown}: set {target} to {wanted}")
    environment = Environment(**_completed(values, source))
    faults += _check_together(environment)
    if faults:
        raise SettingsError("these settings are invalid:\n  " + "\n  ".join(faults))
    return _with_secrets(environment)


def _completed(values: dict[str, Any], source: Mapping[str, str]) -> dict[str, Any]:
    """Adds derived values: the public URL from the served address, hosts from the public URL."""
    served = source.get(SERVED_AT, "")
    if served:
        values = {"public_url": served, "app_url": served, **values}
    host = urlsplit(values.get("public_url", "")).hostname
    if values.get("production") and host:
        values = {"allowed_hosts": (host, *_LOOPBACK_HOSTS), **values}
    return values


def _is_private(name: str, text: str) -> bool:
    """Returns whether an error must not repeat the invalid value."""
    words = ("secret", "password", "token", "private_key", "settings", "audit_keys")
    return any(word in name for word in words) or "@" in text


def _check_together(environment: Environment) -> list[str]:
    faults = []
    if environment.production:
        if len(environment.secret_key) < 32:
            faults.append(
                "CARILLON_SECRET_KEY is missing or short: in production set it to 32 or more"
                " random characters, and do not change it later"
            )
        if not environment.database_url.startswith("postgres"):
            faults.append(
                "CARILLON_DATABASE_URL is not PostgreSQL: production requires postgres://..."
            )
        if not environment.public_url.startswith("https://"):
            faults.append(
                "CARILLON_PUBLIC_URL is missing or not an https URL: in production set it to the"
                " https:// address of this service"
            )
        if "*" in environment.allowed_hosts:
            faults.append(
                "CARILLON_ALLOWED_HOSTS is *: in production name the hosts, or remove it to allow"
                " the host of CARILLON_PUBLIC_URL and this machine"
            )
    faults += sign_in_faults(environment, production=environment.production)
    faults += realtime_faults(environment)
    for vendor in settings_classes():
        faults += vendor.start_faults(environment)
    return faults


def _with_secrets(environment: Environment) -> Environment:
    """Adds the secret that an embedded installation generates and stores."""
    if environment.secret_key:
        return environment
    stored = environment.data_dir / "secret-key"
    try:
        environment.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not stored.exists():
            _make_secret(stored)
        secret = stored.read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"CARILLON_DATA_DIR ({environment.data_dir}) cannot be written: {error.strerror};"
            " set it to a writable folder, or set CARILLON_SECRET_KEY"
        ) from error
    if not secret:
        raise SettingsError(
            f"{stored} is empty: restore its secret, or set CARILLON_SECRET_KEY to it;"
            " on a new installation delete the file"
        )
    values = {item.name: getattr(environment, item.name) for item in fields(environment)}
    return Environment(**{**values, "secret_key": secret})


def _make_secret(stored: Path) -> None:
    """Creates the secret. One of several starting processes wins; none sees a partial file."""
    draft = stored.with_name(f"secret-key.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, stored)
    finally:
        draft.unlink()
