"""No credential and no address leaves by a line of the log, in whatever logger, field or format."""

from __future__ import annotations

import errno
import io
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from carillon.settings.logs import SECURITY_LOGGER, logging_config
from carillon.settings.redacting import LogHandler, SecurityFileHandler, redact
from notifications.domain.redaction import redacted_line

PLANTED = {
    "an API key": ("key ck_live_0123456789ab_AbC-dEf_ghi123 used", "AbC-dEf"),
    "a JWT": ("got eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.abc_def-123", "eyJhIjoxfQ"),
    "a token": ("token f3ab0c1d2e3f405162738495a6b7c8d9e0f1a2b3", "f3ab0c1d"),
    "a header": ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "a scheme": ("sent Bearer abcDEF123.x", "abcDEF123"),
    "a cookie": ("{'Cookie': 'sessionid=zyxwv; other=zyxwv'}", "zyxwv"),
    "a password": ('{"password": "hunter2 and more"}', "hunter2"),
    "a password in a URL": ("postgres://carillon:hunter2@db.intern/x", "hunter2"),
    "a password with signs in a URL": (
        "redis://:hunter2(x@db/0 and http://a:(hunter2)@b",
        "hunter2",
    ),
    "a long password in a URL": (f"redis://:hunter2{'x' * 80}@db/0", "hunter2"),
    "a password in a text of JSON": (json.dumps({"a": '{"password": "hunter2"}'}), "hunter2"),
    "a password in JSON twice": (json.dumps(json.dumps({"token": 'a"hunter2'})), "hunter2"),
    "a password with a quote": (json.dumps({"password": 'ab"hunter2, x'}), "hunter2"),
    "a password with both quotes": (repr({"password": "ab'\"hunter2"}), "hunter2"),
    "a password of several lines": ('password = "one\nhunter2"', "hunter2"),
    "a password in HTML": ("password=&quot;hunter2&quot;", "hunter2"),
    "a password in XML": ("<password>hunter2</password>", "hunter2"),
    "a password in Ruby and Go": ("password => hunter2, password := hunter2", "hunter2"),
    "an encoded query": ("next=%2Fx%3Fpassword%3Dhunter2", "hunter2"),
    "a list of secrets": ('{"tokens": ["a", "hunter2"], "n": 1}', "hunter2"),
    "an object of secrets": ('{"credentials": {"a": {"b": 1}, "value": "hunter2"}}', "hunter2"),
    "headers as pairs": ("[(b'x-api-key', b'hunter2'), ('password', 'hunter2')]", "hunter2"),
    "a header in a text of JSON": (json.dumps(json.dumps({"Cookie": "a=hunter2"})), "hunter2"),
    "a code of single sign-on": ("GET /callback?state=x&code=hunter2", "hunter2"),
    "a signed URL": ("GET https://a.example/b?X-Amz-Signature=hunter2&sig=hunter2", "hunter2"),
    "a key of a map": ("GET https://a.example/b?key=hunter2", "hunter2"),
    "an access key": ("aws_access_key=hunter2 passcode: hunter2 pin=hunter2", "hunter2"),
    "a private key": (
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4\n\nab/hunter2/cd\nhunter2\n-----END",
        "hunter2",
    ),
    "a private key in JSON": (
        json.dumps({"pem": "-----BEGIN PRIVATE KEY-----\nhunter2/\n-----END PRIVATE KEY-----"}),
        "hunter2",
    ),
    "a bot's token": (f"GET /bot123456789:AAH{'hunter' * 5}/sendMessage", "hunter"),
    "vendors' keys": ("sk_live_hunter2 SG.hunter2x.hunter2 xoxb-hunter2", "hunter2"),
    "vendors' webhooks": (
        "https://hooks.slack.com/services/T0/B0/hunter2 https://d.example/api/webhooks/1/hunter2",
        "hunter2",
    ),
    "an address of a chat service": ("tgram://123456:hunter2/chat slack://hunter2/x", "hunter2"),
    "a secret in a query": ("GET /x?api_key=hunter2&n=1", "hunter2"),
    "a signing secret": ("whsec_YWJjZGVm is wrong", "YWJjZGVm"),
    "a mail address": ("to <ann.lee@example.org>", "ann.lee"),
    "an encoded mail address": ("to ann.lee%40example.org", "ann.lee"),
    "a phone number": ("to +49 151 1234-5678", "1234"),
    "a national number": ("to 0151 12345678", "12345678"),
    "an American number": ("to (415) 555-2671", "2671"),
    "a signed link": ("GET /unsubscribe/u.7.course.abc", "u.7"),
    "a token of a link": ("opened u.7.course.aBcDeFgHiJkLmNoPqRsTuV", "aBcDeFg"),
}
"""What each kind of line must not show."""
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
STAYS = [
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "notification 123456789012345678 was sent",
    "2026-11-30T03:23:45.123456+00:00",
    'File "/srv/x/test_0001_of_a_long_name_indeed.py", line 3, in test_0001_of_a_long_name_indeed',
    "basic authentication failed with invalid_token",
    "GET /api/v1/notifications/123456789012345/status",
    "127.0.0.1:8000 and [2001:db8::1]:443",
    "GET https://a.example:8443/b/c?limit=5&state=open answered 503",
    "the tokens of user:7 were ended, and the pinned version 12 stays",
]
LOGGERS = [
    "a.library",
    "carillon.web",
    SECURITY_LOGGER,
    "celery",
    "uvicorn.access",
    "django.request",
]
Planting = Callable[[str, str], None]


def _by_message(logger: str, text: str) -> None:
    logging.getLogger(logger).error("%s happened", text)


def _by_extra(logger: str, text: str) -> None:
    logging.getLogger(logger).error("it happened", extra={"request": {"meta": [text]}})


def _by_exception(logger: str, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger(logger).exception("it failed")


def _by_structlog(logger: str, text: str) -> None:
    structlog.get_logger(logger).error("thing.failed", detail=text)


def _by_structlog_event(logger: str, text: str) -> None:
    structlog.get_logger(logger).error(text)


def _by_structlog_exception(logger: str, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger(logger).exception("thing.failed")


WAYS = [
    _by_message,
    _by_extra,
    _by_exception,
    _by_structlog,
    _by_structlog_event,
    _by_structlog_exception,
]


@pytest.fixture(params=[True, False], ids=["json", "text"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Everything that a handler of the service writes for these loggers."""
    config = logging_config(level="DEBUG", json=request.param)
    given = config["formatters"]["event"]
    handler = LogHandler(io.StringIO())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=given["processors"], foreign_pre_chain=given["foreign_pre_chain"]
        )
    )
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    yield handler.stream
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(handler)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("logger", LOGGERS)
def test_nothing_planted_is_written(written: io.StringIO, logger: str, way: Planting) -> None:
    for text, secret in PLANTED.values():
        way(logger, text)
        line = TIMESTAMP.sub("", written.getvalue())  # its microseconds may equal a number
        assert line, "the logger wrote nothing"
        assert secret not in line, line
        written.seek(0)
        written.truncate()


@pytest.mark.parametrize("text", STAYS)
def test_ids_and_names_of_code_stay(text: str) -> None:
    assert redacted_line(text) == text


def test_a_text_is_not_repeated_with_colours() -> None:
    event = {"event": "Started", "color_message": "\x1b[36mStarted"}
    assert redact(None, "info", event) == {"event": "Started"}


def test_fields_with_the_name_of_a_credential_are_hidden() -> None:
    event = {"password": "abc", "X-Api-Key": b"abc", "more": {"refresh_token": "abc", "n": 1}}
    assert redact(None, "info", event) == {
        "password": "[secret]",
        "X-Api-Key": "[secret]",
        "more": {"refresh_token": "[secret]", "n": 1},
    }


class Login(NamedTuple):
    name: str
    password: str


@pytest.mark.parametrize(
    "value",
    [
        [("password", "hunter2"), (b"x-api-key", b"hunter2"), ["Cookie", "hunter2"]],
        (Login("ada", "hunter2"),),
        {"headers": [("Authorization", "hunter2")]},
    ],
)
def test_pairs_and_named_tuples_with_the_name_of_a_credential_are_hidden(value: Any) -> None:
    assert "hunter2" not in str(redact(None, "info", {"event": "x", "detail": value}))


@pytest.mark.parametrize(
    "text",
    [
        'password="' * 3_000,
        'password=\\"' * 3_000,
        "token=[" * 3_000,
        "token=[(" * 3_000,
        "a://" * 5_000,
        "a://x" + ":" * 20_000,
        "-----BEGIN PRIVATE KEY-----" * 700,
        "ab+" * 7_000,
        "\\" * 20_000,
        "secret" * 3_000,
        "signature-" * 2_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    redacted_line(text)
    assert time.process_time() - began < 0.5


def test_a_request_id_stays_although_it_looks_like_a_token() -> None:
    event = {"request_id": "0123456789abcdef0123456789abcdef"}
    assert redact(None, "info", event) == event


@pytest.mark.parametrize("control", ["\n", "\r\n", "\x1b[31m", "\u2028", "\u202e", "\x00"])
def test_no_text_forges_a_line(written: io.StringIO, control: str) -> None:
    logging.getLogger("a.library").error("not found: %s", f"/a{control}ERROR forged")
    assert written.getvalue().count("\n") == 1
    assert control not in written.getvalue().rstrip("\n")


def test_a_value_of_any_size_is_written_in_bounded_time() -> None:
    deep: Any = "x"
    for _ in range(10_000):
        deep = [deep]
    event = {"deep": deep, "wide": ["a@b.example"] * 100_000, "long": "a1@" * 1_000_000}
    began = time.process_time()
    found = redact(None, "info", event)
    assert time.process_time() - began < 2
    assert len(found["wide"]) == 100
    assert len(found["long"]) <= 20_100


def test_of_a_long_traceback_the_beginning_and_the_end_stay() -> None:
    found = redacted_line("first " + "line of code " * 10_000 + "ann@example.org last")
    assert found.startswith("first line")
    assert found.endswith("[address] last")
    assert len(found) < 20_100


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("hunter2")


def test_an_object_without_a_text_does_not_cost_the_line() -> None:
    found = redact(None, "error", {"event": "thing.failed", "detail": Broken()})
    assert found == {"event": "thing.failed", "detail": "<Broken without a text>"}


def test_a_record_that_cannot_be_formatted_is_named_without_its_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    record = logging.LogRecord("a.library", logging.ERROR, "x.py", 7, "%d", ("hunter2",), None)
    LogHandler(stream).handle(record)
    assert "log.unwritten logger=a.library line=7 error=TypeError" in capsys.readouterr().err
    assert stream.getvalue() == ""


class FullDisk(io.StringIO):
    """A stream whose disk has no space left."""

    def write(self, text: str) -> int:
        raise OSError(errno.EFBIG, "File too large")


def test_a_log_without_space_fails_no_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.stderr", FullDisk())
    record = logging.LogRecord("a.library", logging.ERROR, "x.py", 7, "gone", (), None)
    LogHandler(FullDisk()).handle(record)
    file = SecurityFileHandler(str(tmp_path / "missing" / "security.log"), delay=True)
    file.handle(record)


def test_every_handler_ends_in_the_redaction() -> None:
    config = logging_config(level="INFO", json=False, security_log="/var/log/carillon-security")
    assert config["root"]["handlers"] == ["stderr"]
    for handler in config["handlers"].values():
        formatter = config["formatters"][handler["formatter"]]
        assert formatter["processors"][-2] is redact
    own = {name for name, logger in config["loggers"].items() if logger.get("handlers")}
    assert own == {SECURITY_LOGGER}


def test_a_file_of_security_events_is_json_and_readable_by_its_owner_only(tmp_path: Any) -> None:
    place = tmp_path / "security.log"
    config = logging_config(level="ERROR", json=False, security_log=str(place))
    given = config["formatters"]["security"]
    handler = SecurityFileHandler(str(place), delay=True)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=given["processors"], foreign_pre_chain=given["foreign_pre_chain"]
        )
    )
    logger = logging.getLogger(SECURITY_LOGGER)
    logger.addHandler(handler)
    try:
        structlog.get_logger(SECURITY_LOGGER).info("security.action", action="api-key.issued")
        place.rename(tmp_path / "rotated")
        structlog.get_logger(SECURITY_LOGGER).info("security.action", action="api-key.revoked")
    finally:
        logger.removeHandler(handler)
        handler.close()
    assert json.loads((tmp_path / "rotated").read_text())["action"] == "api-key.issued"
    (line,) = place.read_text().splitlines()
    assert json.loads(line)["action"] == "api-key.revoked"
    assert place.stat().st_mode & 0o777 == 0o600


def test_security_events_are_not_written_twice() -> None:
    config = logging_config(level="INFO", json=True)
    others = config["filters"]["others"]["()"]()
    record = logging.LogRecord(SECURITY_LOGGER, logging.INFO, "", 0, "x", (), None)
    assert config["handlers"]["stderr"]["filters"] == ["others"]
    assert not others.filter(record)
