"""The typed environment: all errors together, each with its variable and its correction."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from carillon.settings.base import database_settings
from carillon.settings.environment import Environment, SettingsError, read_environment
from carillon.settings.logs import redact
from carillon.settings.renamed import RENAMED

SECRET = {"CARILLON_SECRET_KEY": "s" * 40}
FREE = {"text", "words separated by commas", "the path of a folder"}
"""What may be anything."""
STRICT = {
    f"CARILLON_{item.name.upper()}": str(item.metadata["read"].__doc__)
    for item in fields(Environment)
    if item.metadata["read"].__doc__ not in FREE
}


def refusal(variables: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        read_environment(variables)
    return str(refused.value)


@pytest.mark.parametrize("variable", STRICT)
def test_an_invalid_value_is_reported_with_its_variable_and_correction(variable):
    error = refusal({**SECRET, variable: "~nonsense~"})
    private = ("CARILLON_ANYMAIL_SETTINGS", "CARILLON_AUDIT_KEYS")
    hidden = variable in private or variable.endswith("_SECRET")
    shown = "(hidden)" if hidden else "'~nonsense~'"
    assert f"{variable} is {shown}: set it to {STRICT[variable]}" in error
    assert error.count("\n") == 1


def test_all_invalid_values_are_reported_together():
    error = refusal({**SECRET, **dict.fromkeys(STRICT, "~nonsense~")})
    assert [variable for variable in STRICT if f"\n  {variable} is " not in error] == []


def test_every_variable_has_a_type_and_a_meaning():
    for item in fields(Environment):
        assert (item.metadata["read"].__doc__ or "").strip(), item.name
        assert item.metadata["help"].endswith("."), item.name


def test_an_empty_value_is_the_default():
    assert read_environment({**SECRET, **dict.fromkeys(STRICT, " ")}).smtp_port == 25


def test_all_faults_of_a_production_environment_are_reported_together():
    error = refusal({"CARILLON_PRODUCTION": "true"})
    assert "CARILLON_SECRET_KEY is missing or short: in production set it to 32 or more" in error
    assert "CARILLON_DATABASE_URL is not PostgreSQL: production requires postgres://" in error


def test_production_starts_with_what_it_needs():
    read = read_environment(
        {
            **SECRET,
            "CARILLON_PRODUCTION": "true",
            "CARILLON_DATABASE_URL": "postgres://u:p@db/carillon",
            "CARILLON_PUBLIC_URL": "https://notify.example.com",
        }
    )
    assert read.production is True


PRODUCTION = {
    **SECRET,
    "CARILLON_PRODUCTION": "true",
    "CARILLON_DATABASE_URL": "postgres://u:p@db/carillon",
}


@pytest.mark.parametrize("hosts", ["*", "notify.example.com,*"])
def test_production_serves_only_named_hosts(hosts):
    named = {**PRODUCTION, "CARILLON_PUBLIC_URL": "https://notify.example.com:8443"}
    assert read_environment(named).allowed_hosts == (
        *("notify.example.com", "127.0.0.1", "localhost", "[::1]"),
    )
    error = refusal({**named, "CARILLON_ALLOWED_HOSTS": hosts})
    assert "CARILLON_ALLOWED_HOSTS is *: in production name the hosts" in error


@pytest.mark.parametrize("url", ["http://notify.example.com", "http://127.0.0.1:8000", ""])
def test_production_is_reached_by_https(url):
    error = refusal({**PRODUCTION, "CARILLON_PUBLIC_URL": url})
    assert "CARILLON_PUBLIC_URL is missing or not an https URL" in error


def test_links_lead_to_the_port_that_is_served_unless_a_public_url_is_set():
    served = {**SECRET, "CARILLON_SERVED_AT": "http://127.0.0.1:8141"}
    read = read_environment(served)
    assert read.public_url == read.app_url == "http://127.0.0.1:8141"
    named = read_environment({**served, "CARILLON_PUBLIC_URL": "http://carillon.lan"})
    assert (named.public_url, named.app_url) == ("http://carillon.lan", "http://127.0.0.1:8141")
    error = refusal({**PRODUCTION, "CARILLON_SERVED_AT": "http://127.0.0.1:8141"})
    assert "CARILLON_PUBLIC_URL is missing" in error


def test_production_needs_a_public_url():
    error = refusal(
        {
            **SECRET,
            "CARILLON_PRODUCTION": "true",
            "CARILLON_DATABASE_URL": "postgres://u:p@db/carillon",
        }
    )
    assert "CARILLON_PUBLIC_URL" in error


@pytest.mark.parametrize("variable", ["CARILLON_DATABASE_URL", "CARILLON_REDIS_URL"])
def test_a_password_inside_a_url_is_never_shown(variable):
    assert "hunter2" not in refusal({**SECRET, variable: "mysql://u:hunter2@db/x"})


@pytest.mark.parametrize(
    ("_case", "variables", "error"),
    [
        ("short secret", {"CARILLON_PRODUCTION": "true"}, "CARILLON_SECRET_KEY is missing"),
        ("sqlite", {"CARILLON_PRODUCTION": "true", **SECRET}, "production requires postgres"),
        ("fcm", {"CARILLON_PUSH_PROVIDER": "fcm", **SECRET}, "CARILLON_FCM_CREDENTIALS is missing"),
        (
            "fcm with weights",
            {"CARILLON_PUSH_PROVIDER": "fcm=9,sandbox=1", **SECRET},
            "CARILLON_FCM_CREDENTIALS is missing",
        ),
    ],
)
def test_inconsistent_settings_are_reported(_case, variables, error):
    with pytest.raises(SettingsError, match=error):
        read_environment(variables)


def test_values_are_typed():
    read = read_environment(
        {
            **SECRET,
            "CARILLON_ALLOWED_HOSTS": "a.example, b.example",
            "CARILLON_PUBLIC_URL": "https://x.example/",
            "CARILLON_DEFAULT_CONSENT": "yes",
            "CARILLON_DATA_DIR": "somewhere",
        }
    )
    assert read.allowed_hosts == ("a.example", "b.example")
    assert read.public_url == "https://x.example"
    assert read.default_consent is True
    assert read.data_dir == Path("somewhere")
    assert read.variable("public_url") == "CARILLON_PUBLIC_URL"


def test_a_dotenv_file_is_read_and_the_environment_overrides_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "# CARILLON_APP_URL=http://no\nexport CARILLON_APP_NAME='From file'\nCARILLON_LOCALE=ru\n"
    )
    monkeypatch.setenv("CARILLON_LOCALE", "de")
    read = read_environment()
    assert (read.app_name, read.locale) == ("From file", "de")


def test_database_urls():
    postgres = database_settings("postgres://u%40x:p%2Fw@db:5433/carillon", Path("d"), 5)
    assert (postgres["USER"], postgres["PASSWORD"], postgres["HOST"], postgres["PORT"]) == (
        "u@x",
        "p/w",
        "db",
        "5433",
    )
    assert postgres["OPTIONS"]["pool"]["max_size"] == 5
    assert database_settings("postgres://u@/n?host=/run/pg", Path(), 1)["HOST"] == "/run/pg"
    url = "postgres://u@h/n?sslmode=verify-full&options=-c%20lock_timeout%3D5s"
    options = database_settings(url, Path(), 1)["OPTIONS"]
    assert options["sslmode"] == "verify-full"
    assert options["options"].startswith("-c random_page_cost=1.1 ")
    assert options["options"].endswith(" -c lock_timeout=5s"), "the last one wins"
    assert database_settings("", Path("d"), 1)["NAME"] == "d/carillon.sqlite3"
    assert database_settings("sqlite:////srv/x.db", Path("d"), 1)["NAME"] == "/srv/x.db"


def test_addresses_are_redacted_from_logs():
    event = redact(None, "info", {"event": "mail to a.b@example.com, call +4915112345678", "n": 1})
    assert event == {"event": "mail to [address], call [address]", "n": 1}


def test_domains_have_rates():
    read = read_environment({"CARILLON_EMAIL_DOMAIN_LIMITS": "GMail.com=5/s, example.org=100/min"})
    assert read.email_domain_limits == ("gmail.com=5/s", "example.org=100/min")
    for wrong in (
        "gmail=5/s",
        "gmail.com",
        "gmail.com=0/s",
        "gmail.com=5/day",
        "x" * 50 + ".org=1/s",
    ):
        with pytest.raises(SettingsError, match="CARILLON_EMAIL_DOMAIN_LIMITS"):
            read_environment({"CARILLON_EMAIL_DOMAIN_LIMITS": wrong})


@pytest.mark.parametrize("name", ["CARILLON_WEBHOOK_SECRET", "CARILLON_CALLBACK_SECRET"])
@pytest.mark.parametrize(
    "secret", ["whsec_", "whsec_YQ==", "whsec_~", "c2VjcmV0" * 4, f"whsec_{'YWJj' * 22}"]
)
def test_an_invalid_signing_secret_is_reported_at_start(name, secret):
    error = refusal({**SECRET, name: secret})
    assert f"{name} is (hidden): set it to whsec_ and standard base64" in error
    assert read_environment({**SECRET, name: f"whsec_{'YWJj' * 8}"})


@pytest.mark.parametrize(
    "url",
    ["https://t.example:99999", "https://t.example:x", "https://:8443", "https://t.example:0"],
)
def test_an_address_with_an_invalid_port_is_reported_at_start(url):
    error = refusal({**SECRET, "CARILLON_TWILIO_BASE_URL": url})
    assert f"CARILLON_TWILIO_BASE_URL is {url!r}: set it to an http:// or https:// URL" in error


def test_an_address_may_have_a_port_and_a_path():
    read = read_environment({**SECRET, "CARILLON_TWILIO_BASE_URL": "https://t.example:8443/eu/"})
    assert read.twilio_base_url == "https://t.example:8443/eu"


@pytest.mark.parametrize(
    ("channel", "weighted"),
    [("SMS", "twilio=3,sandbox=1"), ("EMAIL", "ses=3,smtp=1"), ("CHAT", "apprise=9,sandbox=1")],
)
def test_providers_of_a_channel_may_be_weighted(channel, weighted):
    read = read_environment({**SECRET, f"CARILLON_{channel}_PROVIDER": weighted})

    assert getattr(read, f"{channel.lower()}_provider") == weighted


@pytest.mark.parametrize("wrong", ["twilio=0", "twilio=3,twilio=1", "smtp", "twilio=x", "vonate"])
def test_an_unsuitable_provider_or_weight_is_reported(wrong):
    assert "CARILLON_SMS_PROVIDER is" in refusal({**SECRET, "CARILLON_SMS_PROVIDER": wrong})


def test_an_old_name_is_read_and_the_new_name_wins():
    old, new = "CARILLON_CALL_SECONDS", "CARILLON_PROVIDER_TIMEOUT_SECONDS"
    assert read_environment({**SECRET, old: "7"}).provider_timeout_seconds == 7
    assert read_environment({**SECRET, old: "7", new: "9"}).provider_timeout_seconds == 9
    assert read_environment({**SECRET, old: "7", new: ""}).provider_timeout_seconds == 7


def test_a_bad_value_is_reported_under_the_name_it_was_given():
    old, new = "CARILLON_CALL_SECONDS", "CARILLON_PROVIDER_TIMEOUT_SECONDS"
    with pytest.raises(SettingsError, match=f"{old} is 'soon': set {new} to "):
        read_environment({**SECRET, old: "soon"})
    with pytest.raises(SettingsError, match=f"{new} is 'soon': set it to "):
        read_environment({**SECRET, old: "7", new: "soon"})


def test_every_old_name_leads_to_a_variable_and_is_none_itself():
    known = {f"CARILLON_{item.name.upper()}" for item in fields(Environment)}
    assert set(RENAMED.values()) <= known
    assert not set(RENAMED) & known
