"""The first-run guide: what it tries, who may store it, and where."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from email import policy
from email.parser import BytesParser
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import pytest
from django.test import Client

from console.operating.first_run_words import shown
from notifications.delivery.mail.settings_file import path_in
from notifications.features.providers import mail_dns, mail_setup
from notifications.features.providers.mail_dns import Mark, finding
from notifications.infra import clock
from notifications.models import OperatorAction, ProviderConfig
from notifications.testing.servers import SMTPSink
from tests.integration.console.conftest import As
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
PATH = "/console/first-run"
PASSWORD = "pass word'\"<&>"


@pytest.fixture
def folder(tmp_path: Path, override_environment: Any, settings: Any) -> Path:
    """An embedded service with a data folder of its own."""
    override_environment(data_dir=tmp_path, database_url="")
    settings.GIVEN_MAIL_VARIABLES = ()
    return tmp_path


@pytest.fixture
def sink() -> Iterator[SMTPSink]:
    server = SMTPSink(login=f"ann:{PASSWORD}")
    with server.run_in_thread():
        yield server


def signed_in(role: str = "admin", email: str = "ada@example.org") -> Client:
    client = Client()
    client.force_login(make_user(staff_role=role, email=email))
    return client


def tried(client: Client, sink: SMTPSink, **given: str) -> Any:
    fields = {
        "action": "try",
        "sender": "Bell <bell@localhost>",
        "server": f"127.0.0.1:{sink.port}",
        "user": "ann",
        "password": PASSWORD,
        **given,
    }
    return client.post(PATH, fields)


def recorded() -> list[tuple[str, ...]]:
    rows = OperatorAction.objects.filter(action__startswith="provider.").order_by("pk")
    return list(rows.values_list("action", "target", "reason"))


def token_in(answer: Any) -> str:
    found = re.search(r'name="token" value="([^"]*)"', answer.content.decode())
    return html.unescape(found[1]) if found else ""


def test_settings_are_tried_by_a_real_mail_and_stored(folder: Path, sink: SMTPSink) -> None:
    client = signed_in()
    assert "Send the first mail" in client.get("/console").content.decode()
    answer = tried(client, sink)

    text = answer.content.decode()
    assert answer.status_code == 200, re.findall('role="alert">([^<]*)', text)
    assert "The server took the mail." in text
    (taken,) = sink.messages
    assert (taken.sender, taken.recipients) == ("bell@localhost", ("ada@example.org",))
    mail = BytesParser(policy=policy.default).parsebytes(taken.content)
    assert mail["Subject"] == "Carillon sends mails"
    assert not path_in(folder).exists()

    done = client.post(PATH, {"action": "store", "token": token_in(answer)}, follow=True)
    assert "Restart the service" in done.content.decode()
    assert path_in(folder).stat().st_mode & 0o777 == 0o600
    assert json.loads(path_in(folder).read_bytes()) == {
        "CARILLON_EMAIL_PROVIDER": "smtp",
        "CARILLON_EMAIL_FROM": "Bell <bell@localhost>",
        "CARILLON_SMTP_HOST": "127.0.0.1",
        "CARILLON_SMTP_PORT": str(sink.port),
        "CARILLON_SMTP_TLS": "auto",
        "CARILLON_SMTP_USER": "ann",
        "CARILLON_SMTP_PASSWORD": PASSWORD,
    }
    where = f"127.0.0.1:{sink.port}"
    assert recorded() == [
        ("provider.test", "smtp", where),
        ("provider.set", "smtp", where),
    ]


def test_the_password_is_in_no_page(folder: Path, sink: SMTPSink) -> None:
    del folder
    answer = tried(signed_in(), sink)
    text = html.unescape(answer.content.decode())
    assert PASSWORD not in text
    assert "CARILLON_SMTP_PASSWORD='...'" in text
    assert PASSWORD.encode() not in token_in(answer).encode()


def test_an_operator_tries_and_an_administrator_stores(folder: Path, sink: SMTPSink) -> None:
    operator, admin = signed_in("operator"), signed_in("admin")
    answer = tried(operator, sink)
    assert "Only an administrator stores them here" in answer.content.decode()
    assert token_in(answer) == ""
    token = token_in(tried(admin, sink))
    for client in (operator, signed_in("admin")):
        said = client.post(PATH, {"action": "store", "token": token}, follow=True)
        assert "Not done" in said.content.decode()
    assert not path_in(folder).exists()


def test_a_token_is_of_its_trial_and_short_lived(folder: Path, sink: SMTPSink, frozen: Any) -> None:
    client = signed_in()
    token = token_in(tried(client, sink))
    frozen.forward(16 * 60)
    for given in (token, "", "AAAA", token[:-8] + "AAAAAAA=", "\u00e9"):
        said = client.post(PATH, {"action": "store", "token": given}, follow=True)
        assert "the trial is too old" in said.content.decode()
    assert not path_in(folder).exists()


@pytest.mark.parametrize(
    ("hindered", "words"),
    [
        ("database", "several processes or machines"),
        ("given", "The environment or the file .env has mail settings"),
        ("stored", "stored by the API"),
    ],
)
def test_what_wins_over_the_file_is_named(
    folder: Path,
    sink: SMTPSink,
    settings: Any,
    override_environment: Any,
    hindered: str,
    words: str,
) -> None:
    if hindered == "database":
        override_environment(database_url="postgres://x")
    elif hindered == "given":
        settings.GIVEN_MAIL_VARIABLES = ("CARILLON_EMAIL_PROVIDER",)
    else:
        ProviderConfig.objects.create(
            key="smtp", settings={}, updated_by="cli", updated_at=clock.now()
        )
    answer = tried(signed_in(), sink)
    text = html.unescape(answer.content.decode())
    assert words in text
    assert f"CARILLON_SMTP_PORT={sink.port}" in text
    assert "CARILLON_EMAIL_FROM='Bell <bell@localhost>'" in text
    assert token_in(answer) == ""
    assert not path_in(folder).exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"server": "127.0.0.1:22"}, "this port is of another service"),
        ({"server": "https://example.com"}, "write a name or an address"),
        ({"server": "a@b:587"}, "write a name or an address"),
        ({"server": "mail example"}, "write a name or an address"),
        ({"server": "mail.example:99999"}, "write a name or an address"),
        ({"server": ""}, "write a name or an address"),
        ({"sender": "ann"}, "write an address, such as"),
        ({"sender": "a@b.example\r\nBcc: c@d.example"}, "in one line"),
        ({"user": ""}, "name both"),
        ({"password": ""}, "name both"),
        ({"password": "a\x00b"}, "at most 500 characters"),
        ({"encryption": "rot13"}, "choose one of the list"),
        ({"encryption": "none", "server": "mail.example:2525"}, "never sent without encryption"),
        ({"action": "dance"}, "choose what to do"),
    ],
)
def test_bad_input_is_named_and_nothing_is_called(
    folder: Path, sink: SMTPSink, given: dict[str, str], words: str
) -> None:
    del folder
    answer = tried(signed_in(), sink, **given)
    assert answer.status_code == 400
    assert words in html.unescape(answer.content.decode())
    assert sink.connections == 0
    assert recorded() == []


def test_a_member_without_an_address_writes_one(folder: Path, sink: SMTPSink) -> None:
    del folder
    client = signed_in(email="")
    assert 'name="to"' in client.get(PATH).content.decode()
    assert tried(client, sink).status_code == 400
    assert tried(client, sink, to="grace@example.org").status_code == 200
    assert sink.messages[0].recipients == ("grace@example.org",)


def test_trials_of_a_member_are_limited(folder: Path, sink: SMTPSink) -> None:
    del folder
    client = signed_in()
    statuses = [tried(client, sink).status_code for _ in range(7)]
    assert statuses == [200] * 6 + [429]
    assert tried(signed_in(), sink).status_code == 200


def test_trials_of_a_process_are_limited(
    folder: Path, sink: SMTPSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    del folder
    monkeypatch.setattr(mail_setup, "_trials", BoundedSemaphore(0))
    answer = tried(signed_in(), sink)
    assert answer.status_code == 429
    assert "another trial is running" in answer.content.decode()
    assert recorded() == []


def test_a_stored_file_that_waits_or_cannot_be_read_is_named(
    folder: Path, override_environment: Any
) -> None:
    client = signed_in()
    path_in(folder).write_text('{"CARILLON_SMTP_PORT": "2525"}')
    assert "not in use yet" in client.get(PATH).content.decode()
    override_environment(smtp_port=2525)
    assert "not in use yet" not in client.get(PATH).content.decode()
    path_in(folder).write_text("{")
    assert "cannot be read" in client.get(PATH).content.decode()


def test_the_guide_is_in_russian(folder: Path, sink: SMTPSink) -> None:
    del folder
    client = signed_in()
    text = client.get(PATH, headers={"Accept-Language": "ru"}).content.decode()
    assert "Send the first mail" not in text
    fields = {"action": "try", "sender": "b@localhost", "server": f"127.0.0.1:{sink.port}"}
    answer = client.post(PATH, fields, headers={"Accept-Language": "ru"})
    assert "Test mail" not in answer.content.decode()


def test_every_finding_has_words() -> None:
    source = Path(mail_dns.__file__).parent
    calls = re.compile(r'(?:finding|MailFinding)\(\s*"(\w+)",\s*Mark\.(\w+),\s*"(\w+)"')
    found = [
        match
        for name in ("mail_dns", "mail_trial", "mail_setup")
        for match in calls.findall((source / f"{name}.py").read_text())
    ]
    assert len(found) > 20
    for check, mark, code in found:
        assert str(shown(finding(check, Mark[mark], code)).text)
    for step, codes in {
        "connection": ("connection", "timeout", "greeting", "invalid_response"),
        "encryption": ("tls",),
        "login": ("auth",),
        "mail": ("login_required", "refused", "lost"),
    }.items():
        for code in codes:
            assert str(shown(finding(step, Mark.BAD, code)).text)


def test_only_those_who_may_change_providers_see_the_hint(as_role: As, folder: Path) -> None:
    del folder
    for role, sees in (("admin", True), ("operator", True), ("author", False)):
        assert ("/console/first-run" in as_role(role).get("/console").content.decode()) is sees
