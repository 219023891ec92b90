"""`carillon doctor` reports settings, health and stops correctly."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from carillon.cli import doctor, doctor_settings
from carillon.cli.processes import store_address
from carillon.settings.environment import Environment
from notifications.delivery.mail.settings_file import write_mail_file
from notifications.features.operations import health, health_probes
from notifications.infra import clock
from notifications.models import KillSwitch

HTTPS = Environment(public_url="https://notify.example.com", email_provider="smtp")


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("CARILLON_SMTP_HOTS", "did you mean CARILLON_SMTP_HOST?"),
        ("CARILLON_EMAIL_FORM", "did you mean CARILLON_EMAIL_FROM?"),
        ("CARILLON_REDISURL", "did you mean CARILLON_REDIS_URL?"),
        ("carillon_public_url", "did you mean CARILLON_PUBLIC_URL?"),
        ("CARILLON_QQQQQQQQQQQQ", "see docs/reference/settings.md"),
    ],
)
def test_an_unknown_variable_is_reported_with_the_most_similar_name(name: str, fix: str) -> None:
    given = {name: "x", "CARILLON_SMTP_PORT": "25", "CARILLON_SERVED_AT": "x", "PATH": "x"}
    (found,) = doctor_settings.misspelt(given)
    assert (found.well, found.detail, found.fix) == (False, f"no setting reads {name}", fix)


def test_a_variable_that_was_renamed_is_reported_with_its_new_name() -> None:
    old, new = "CARILLON_CALL_SECONDS", "CARILLON_PROVIDER_TIMEOUT_SECONDS"
    (found,) = doctor_settings.misspelt({old: "7"})
    assert (found.detail, found.fix) == (f"{old} is an old name", f"rename it to {new}")
    (found,) = doctor_settings.misspelt({old: "7", new: "9"})
    assert found.detail == f"{old} is ignored, because its new name is set too"


@pytest.mark.parametrize(
    ("sender", "well"),
    [
        ("Carillon <notifications@localhost>", False),
        ("a@mail.local", False),
        ("a@host.localdomain", False),
        ("no-address", False),
        ("Carillon <hello@example.com>", True),
    ],
)
def test_mails_have_a_sender_with_a_public_domain(sender: str, well: bool) -> None:
    assert doctor_settings.sender(dataclasses.replace(HTTPS, email_from=sender)).well is well
    sandbox = dataclasses.replace(HTTPS, email_from=sender, email_provider="sandbox")
    assert doctor_settings.sender(sandbox).well


def test_stored_mail_settings_that_are_not_read_are_named(tmp_path: Path, monkeypatch: Any) -> None:
    here = Environment(data_dir=tmp_path)
    monkeypatch.setenv("CARILLON_SMTP_HOST", "mail.example.com")
    assert list(doctor_settings.mail_file(here)) == []
    write_mail_file(tmp_path, {"CARILLON_SMTP_HOST": "other.example.com"})
    (found,) = doctor_settings.mail_file(here)
    assert (found.well, found.warns) == (True, True)
    assert "CARILLON_SMTP_HOST" in found.detail
    monkeypatch.delenv("CARILLON_SMTP_HOST")
    assert list(doctor_settings.mail_file(here)) == []


def test_a_public_url_without_https_is_a_fault_once_mails_are_sent() -> None:
    plain = dataclasses.replace(HTTPS, public_url="http://notify.example.com")
    assert [each.well for each in doctor_settings.public_url(HTTPS)] == [True]
    assert [each.well for each in doctor_settings.public_url(plain)] == [False]


def test_a_port_that_differs_from_the_served_one_is_reported(
    tmp_path: Path, monkeypatch: Any
) -> None:
    store_address("127.0.0.1", 8141, tmp_path)
    local = Environment(public_url="http://localhost:8000", data_dir=tmp_path)
    monkeypatch.delenv("CARILLON_PUBLIC_URL", raising=False)
    assert all(each.well for each in doctor_settings.public_url(local))  # it follows from the port
    monkeypatch.setenv("CARILLON_PUBLIC_URL", "http://localhost:8000")
    assert [each.name for each in doctor_settings.public_url(local) if not each.well] == ["port"]
    right = dataclasses.replace(local, public_url="http://localhost:8141")
    assert all(each.well for each in doctor_settings.public_url(right))


@pytest.mark.parametrize(
    ("provider", "detail"),
    [("sandbox", "sandbox: no mail is sent"), ("ses", "ses: mails are sent by it")],
)
def test_the_email_finding_says_whether_mails_are_sent(
    provider: str, detail: str, override_environment: Any
) -> None:
    override_environment(email_provider=provider)
    assert doctor._email().detail == detail


def test_a_missing_proxy_setting_is_reported() -> None:
    behind = dataclasses.replace(HTTPS, production=True)
    assert doctor_settings.proxies(HTTPS).well
    found = doctor_settings.proxies(behind)
    assert (found.well, found.detail) == (False, "every request has the address of the proxy")
    assert doctor_settings.proxies(dataclasses.replace(behind, trusted_proxies=("10.0.0.1",))).well


@pytest.mark.django_db
def test_current_stops_are_reported() -> None:
    assert [each for each in doctor._health() if each.name == "stops"] == []
    KillSwitch.objects.create(
        scope="channel", value="sms", reason="incident", actor="cli", created_at=clock.now()
    )
    (found,) = [each for each in doctor._health() if each.name == "stops"]
    assert not found.well
    assert found.detail == "stopped until an operator lifts it: channel sms (incident)"
    assert "carillon kill-switch list" in found.fix


def test_a_process_warns_at_start_of_unknown_variables(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("CARILLON_SMTP_HOTS", "x")
    doctor_settings.warn_of_misspelt()
    expected = "warning: no setting reads CARILLON_SMTP_HOTS: did you mean CARILLON_SMTP_HOST?"
    assert expected in capsys.readouterr().err
    monkeypatch.setenv("CARILLON_SUPERVISED", "1")  # the supervisor has warned
    doctor_settings.warn_of_misspelt()
    assert capsys.readouterr().err == ""


def test_an_unmigrated_database_is_reported_once(monkeypatch: Any) -> None:
    reasons = {"migrations": "9 migrations are not applied", "workers": health.NOT_MIGRATED}
    checks = {
        name: health.CheckResponse(status="unhealthy", reason=why) for name, why in reasons.items()
    }
    checks = {"database": health.CheckResponse(status="healthy"), **checks}
    response = health.HealthResponse(
        status="degraded", timestamp=clock.now(), checks=checks, reasons=[]
    )
    monkeypatch.setattr(health, "health", lambda **_: response)
    found = [(each.name, each.well) for each in doctor._health()]
    assert found == [("database", True), ("migrations", False)]


def test_an_unreachable_database_is_reported_once(monkeypatch: Any) -> None:
    away = health.CheckResponse(status="unhealthy", reason=health_probes.NO_ANSWER)
    well = health.CheckResponse(status="healthy")
    checks = {"database": away, "migrations": away, "workers": away, "redis": well}
    response = health.HealthResponse(
        status="degraded", timestamp=clock.now(), checks=checks, reasons=[]
    )
    monkeypatch.setattr(health, "health", lambda **_: response)
    found = [(each.name, each.well) for each in doctor._health()]
    assert found == [("database", False), ("redis", True)]


def test_refused_credentials_name_their_settings() -> None:
    fix = doctor._fix_of("smtp", "the mail server refuses our credentials")
    assert "CARILLON_SMTP_USER and CARILLON_SMTP_PASSWORD" in fix
    assert doctor._fix_of("ses", "x").startswith("see `carillon providers list`")


@pytest.mark.django_db(transaction=True)
def test_weak_durability_is_reported() -> None:
    sqlite = connection.vendor == "sqlite"
    weak, usual = (
        ("PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL")
        if sqlite
        else ("SET synchronous_commit = off", "RESET synchronous_commit")
    )
    with connection.cursor() as cursor:
        cursor.execute(weak)
        try:
            found = doctor._durability()
        finally:
            cursor.execute(usual)
    assert not found.well
    assert found.detail == (
        "sqlite, synchronous=NORMAL" if sqlite else "postgresql, synchronous_commit=off"
    )
    assert found.fix == ("set synchronous=FULL" if sqlite else "set synchronous_commit=on")


@pytest.mark.django_db
def test_keys_in_the_main_database_are_a_warning(settings: Any) -> None:
    found = doctor._key_store()
    in_main = settings.KEYS_ALIAS == "default" and connection.vendor == "postgresql"
    assert (found.well, found.warns) == (True, in_main)


@pytest.mark.django_db
def test_keys_in_the_same_cluster_are_a_warning(settings: Any, monkeypatch: Any) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("an embedded service has a file of its own")
    settings.KEYS_ALIAS = "keys"
    monkeypatch.setattr("django.db.connections", {"default": connection, "keys": connection})
    found = doctor._key_store()
    assert (found.warns, "server" in found.detail) == (True, True)
