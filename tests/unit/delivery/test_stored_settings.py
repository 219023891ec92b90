"""The scope providers:write never allows code, another host, a file or a guard."""

from __future__ import annotations

import dataclasses
import json
import logging

import pytest

from notifications.delivery import accounts
from notifications.delivery.accounts import StoredAccount, account, read_values, setting_names
from notifications.delivery.registry import PROVIDERS
from notifications.delivery.stored_settings import storable
from notifications.delivery.vendors.anymail import services as mail_services
from notifications.delivery.vendors.anymail.send import backend_of
from notifications.domain.errors import InvalidRequest

SID = "AC" + "0" * 32
ENVIRONMENT_ALONE = {
    "smtp": {"host", "port", "tls", "dkim_keys"},
    "ses": {"base_url", "topics"},
    "anymail": set(),
    "fcm": {"base_url"},
    "webpush": set(),
    "twilio": {"base_url"},
    "vonage": {"base_url"},
    "telegram": {"base_url", "bot_name", "webhook_secret"},
    "apprise": {"hosts"},
    "in_app": set(),
    "webhook": {"allow_private"},
    "sandbox": set(),
}
"""Hosts, files, guards, who may send callbacks, and the targets of links."""


@pytest.fixture
def outer(settings):
    """Sets settings of the environment; nothing is stored afterwards."""

    def override(**values):
        settings.CARILLON = dataclasses.replace(settings.CARILLON, **values)

    yield override
    accounts.use_stored({})


def codes(key, given):
    with pytest.raises(InvalidRequest) as refused:
        read_values(key, given)
    return {error.path.removeprefix("settings."): error.code for error in refused.value.errors}


@pytest.mark.parametrize("key", PROVIDERS)
def test_every_setting_of_every_provider_is_classified(key):
    """A new setting fails here until it is classified as storable or not."""
    assert set(storable(key)) | ENVIRONMENT_ALONE[key] == set(setting_names(key))
    assert not set(storable(key)) & ENVIRONMENT_ALONE[key]


@pytest.mark.parametrize(
    ("key", "name"), [(key, name) for key, names in ENVIRONMENT_ALONE.items() for name in names]
)
@pytest.mark.parametrize("text", ["", "true", "1", "http://10.0.0.1", "example.com", "none"])
def test_hosts_files_and_guards_are_never_stored(key, name, text):
    assert codes(key, {name: text}) == {name: "invalid_setting"}


@pytest.mark.parametrize(
    "backend",
    [
        "logging.basicConfig",
        "os.system",
        "anymail.backends.postmark.EmailBackend",
        "anymail.backends.base_requests.AnymailRequestsBackend",
        "django.core.mail.backends.filebased.EmailBackend",
        "amazon_ses",
        "console",
        "test",
        "base",
        "",
        "Postmark",
        "post\x00mark",
        "../postmark",
    ],
)
def test_only_short_names_of_the_list_are_stored(backend):
    assert codes("anymail", {"backend": backend, "settings": "{}"}) == {
        "backend": "invalid_setting"
    }


@pytest.mark.parametrize("service", mail_services.SERVICES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_url", "http://169.254.169.254/"),
        ("idna_encoder", "os.system"),
        ("send_defaults", {"bcc": ["me@evil.example"]}),
        ("debug_api_requests", True),
        ("session", "x"),
        ("webhook_url", "x"),
        ("alias", "x"),
        ("fail_silently", True),
        ("ignore_recipient_status", True),
    ],
)
def test_a_stored_mail_account_contains_only_credentials(service, name, value):
    given = {"backend": service, "settings": json.dumps({name: value})}

    assert codes("anymail", given) == {"settings": "invalid_setting"}


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("mailgun", "sender_domain", "x/../../evil"),
        ("mailgun", "sender_domain", "a@evil.example"),
        ("scaleway", "region", "../.."),
        ("mailtrap", "sandbox_id", "1/../2"),
        ("postmark", "server_token", "a\r\nX: y"),
        ("postmark", "server_token", ["x"]),
        ("postmark", "server_token", ""),
        ("sparkpost", "subaccount", "1\n"),
    ],
)
def test_a_credential_that_is_part_of_a_url_or_header_has_a_form(service, name, value):
    given = {"backend": service, "settings": json.dumps({name: value})}

    assert codes("anymail", given) == {"settings": "invalid_setting"}


@pytest.mark.parametrize("text", ["[]", "7", "null", "{", "[" * 100_000, '"x"'])
def test_a_mail_account_that_is_not_an_object_is_refused(text):
    assert codes("anymail", {"backend": "postmark", "settings": text}) == {
        "settings": "invalid_setting"
    }


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("ses", {"region": "x@evil.example/", "access_key_id": "A" * 20, "secret_access_key": "s"}),
        ("ses", {"region": "evil.example#", "access_key_id": "A" * 20, "secret_access_key": "s"}),
        ("fcm", {"credentials": "/etc/passwd"}),
        ("fcm", {"credentials": json.dumps({"token_uri": "http://10.0.0.1/token"})}),
        ("twilio", {"account_sid": "AC1/../../x", "auth_token": "t"}),
        ("twilio", {"auth_token": ""}),
        ("vonage", {"private_key": "/etc/ssl/key.pem", "application_id": "a"}),
        ("vonage", {"from": "a\r\nX: y"}),
        ("telegram", {"bot_token": "1:a/../../x"}),
        ("telegram", {"bot_token": "@evil.example/1:a"}),
        ("webhook", {"secret": "whsec_"}),
        ("webhook", {"secret": "secret"}),
        ("webpush", {"private_key": "/etc/ssl/key.pem"}),
        ("webpush", {"contact": "javascript:alert(1)"}),
        ("anymail", {"webhook_secret": ""}),
        ("smtp", {"user": "", "password": "x"}),
        ("smtp", {"connections": "0"}),
        ("smtp", {"connections": "999"}),
    ],
)
def test_a_stored_text_must_match_its_form(key, given):
    assert set(codes(key, given).values()) == {"invalid_setting"}


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("twilio", {"account_sid": SID}),
        ("ses", {"region": "eu-west-1"}),
        ("ses", {"access_key_id": "A" * 20}),
        ("ses", {"session_token": "t"}),
        ("smtp", {"user": "me"}),
        ("vonage", {"api_key": "abcd1234"}),
        ("vonage", {"api_secret": "theirs"}),
        ("vonage", {"application_id": "0b1c"}),
        ("anymail", {"backend": "sendgrid"}),
    ],
)
def test_another_account_needs_its_own_secrets(key, given):
    assert set(codes(key, given).values()) == {"secret_required"}


def test_the_environments_secrets_are_never_sent_to_a_stored_service(outer):
    outer(
        anymail_backend="mailgun",
        anymail_settings=json.dumps({"api_key": "theirs", "api_url": "https://api.eu.mailgun.net"}),
    )
    accounts.use_stored(
        {"anymail": StoredAccount(1, {"backend": "sendgrid", "settings": '{"api_key": "mine"}'})}
    )

    found = account("anymail")

    assert found.anymail_backend == "sendgrid"
    assert json.loads(found.anymail_settings) == {"api_key": "mine"}


def test_a_stored_account_of_the_same_service_uses_its_host_and_no_secret(outer):
    outer(
        anymail_backend="anymail.backends.mailgun.EmailBackend",
        anymail_settings=json.dumps(
            {"api_key": "old", "webhook_signing_key": "old", "api_url": "https://eu.example"}
        ),
    )
    accounts.use_stored({"anymail": StoredAccount(1, {"settings": '{"api_key": "new"}'})})

    assert json.loads(account("anymail").anymail_settings) == {
        "api_key": "new",
        "api_url": "https://eu.example",
    }


def test_stored_aws_keys_use_no_session_token_of_the_environment(outer):
    outer(ses_access_key_id="theirs", ses_secret_access_key="s", ses_session_token="theirs")
    stored = {"access_key_id": "A" * 20, "secret_access_key": "mine"}
    accounts.use_stored({"ses": StoredAccount(1, stored)})

    assert account("ses").ses_session_token == ""


def test_a_stored_vonage_account_overrides_the_environments_application(outer):
    outer(vonage_application_id="theirs", vonage_private_key="theirs")
    stored = {"api_key": "abcd1234", "api_secret": "mine"}
    accounts.use_stored({"vonage": StoredAccount(1, stored)})

    found = account("vonage")

    assert (found.vonage_application_id, found.vonage_private_key) == ("", "")
    assert found.vonage_api_secret == "mine"


def test_an_account_of_a_foreign_class_comes_from_the_environment(outer):
    outer(anymail_backend="ours.mail.Backend")

    assert codes("anymail", {"settings": "{}"}) == {"settings": "invalid_setting"}


@pytest.mark.parametrize(
    "path",
    [
        "logging.basicConfig",
        "builtins.dict",
        "django.core.mail.backends.smtp.EmailBackend",
        "anymail.backends.amazon_ses.EmailBackend",
        "pathlib.Path",
    ],
)
def test_a_dotted_path_is_checked_as_a_backend_class_before_its_call(path, monkeypatch):
    called = []
    monkeypatch.setattr(logging, "basicConfig", lambda **_: called.append(path))

    with pytest.raises((ValueError, ImportError)):
        backend_of(path, {"filename": "/nowhere"})

    assert not called


def test_a_row_that_breaks_these_rules_is_ignored_and_reported(outer):
    outer(twilio_auth_token="theirs", twilio_from="+1000")
    row = {"base_url": "http://10.0.0.1", "from": "+1"}
    accounts.use_stored({"twilio": StoredAccount(9, row)})

    assert account("twilio").twilio_base_url == "https://api.twilio.com"
    assert account("twilio").twilio_from == "+1000"
    assert accounts.stored_fault("twilio") == (
        "the stored settings are not used; store them again: base_url"
    )
