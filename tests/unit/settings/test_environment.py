"""The typed environment: every mistake at once, each with its variable and its mend."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carillon.settings.base import database_settings
from carillon.settings.environment import SettingsError, read_environment
from carillon.settings.logs import redact

SECRET = {"CARILLON_SECRET_KEY": "s" * 40}


def test_every_mistake_is_told_at_once_with_its_mend():
    with pytest.raises(SettingsError) as refused:
        read_environment(
            {
                **SECRET,
                "CARILLON_SMTP_PORT": "0",
                "CARILLON_PUBLIC_URL": "ftp://x",
                "CARILLON_PRODUCTION": "maybe",
                "CARILLON_EMAIL_PROVIDER": "pigeon",
                "CARILLON_DATABASE_URL": "mysql://x",
                "CARILLON_REDIS_URL": "http://x",
                "CARILLON_LEASE_SECONDS": "soon",
            }
        )
    text = str(refused.value)
    for variable, mend in (
        ("CARILLON_SMTP_PORT is '0'", "a whole number from 1 to 65,535"),
        ("CARILLON_PUBLIC_URL", "an http:// or https:// URL"),
        ("CARILLON_PRODUCTION", "true or false"),
        ("CARILLON_EMAIL_PROVIDER", "one of sandbox, smtp"),
        ("CARILLON_DATABASE_URL", "postgres://user:password@host:port/name"),
        ("CARILLON_REDIS_URL", "redis://host:port/number"),
        ("CARILLON_LEASE_SECONDS", "a number of seconds from 1 to 3600"),
    ):
        assert variable in text
        assert mend in text


def test_a_secret_is_never_shown():
    with pytest.raises(SettingsError) as refused:
        read_environment({**SECRET, "CARILLON_JWT_SECRET": "x", "CARILLON_SMTP_PORT": "a"})
    assert "'x'" not in str(refused.value)


@pytest.mark.parametrize(
    ("_case", "variables", "told"),
    [
        ("short secret", {"CARILLON_PRODUCTION": "true"}, "CARILLON_SECRET_KEY is missing"),
        ("sqlite", {"CARILLON_PRODUCTION": "true", **SECRET}, "production needs postgres"),
        ("long call", {"CARILLON_CALL_SECONDS": "50", **SECRET}, "CARILLON_CALL_SECONDS is too"),
        ("fcm", {"CARILLON_PUSH_PROVIDER": "fcm", **SECRET}, "CARILLON_FCM_CREDENTIALS is missing"),
    ],
)
def test_settings_that_do_not_go_together_are_told(_case, variables, told):
    with pytest.raises(SettingsError, match=told):
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


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "# CARILLON_APP_URL=http://no\nexport CARILLON_APP_NAME='From file'\nCARILLON_LOCALE=ru\n"
    )
    monkeypatch.setenv("CARILLON_LOCALE", "de")
    read = read_environment()
    assert (read.app_name, read.locale) == ("From file", "de")


def test_a_secret_is_made_once_and_kept(tmp_path):
    variables = {"CARILLON_DATA_DIR": str(tmp_path / "data")}
    with ThreadPoolExecutor(8) as pool:
        made = {pool.submit(read_environment, variables) for _ in range(16)}
    keys = {each.result().secret_key for each in made}
    assert len(keys) == 1
    assert (tmp_path / "data" / "secret-key").stat().st_mode & 0o777 == 0o600


def test_a_data_folder_that_cannot_be_written_is_told(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SettingsError, match=r"CARILLON_DATA_DIR .* cannot be written"):
        read_environment({"CARILLON_DATA_DIR": str(file / "below")})


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
    assert database_settings("", Path("d"), 1)["NAME"] == "d/carillon.sqlite3"
    assert database_settings("sqlite:////srv/x.db", Path("d"), 1)["NAME"] == "/srv/x.db"


def test_addresses_are_redacted_from_logs():
    event = redact(None, "info", {"event": "mail to a.b@example.com, call +4915112345678", "n": 1})
    assert event == {"event": "mail to [address], call [address]", "n": 1}
