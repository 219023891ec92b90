"""Providers' accounts: stored encrypted, effective at once, testable, and never shown."""

from __future__ import annotations

import json

import pytest
from django.db import connection

from carillon.cli import doctor
from notifications.delivery.accounts import account, version_of
from notifications.delivery.provider_calls import ProviderCalls
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest, NotFound
from notifications.engine.shared_rows import refresh_accounts
from notifications.features.providers.service import ProviderService, browser_key
from notifications.models import OperatorAction, ProviderConfig
from notifications.testing.servers import HTTPSink, Reply

pytestmark = pytest.mark.django_db
SID = "AC" + "0" * 32


def store(key, **given):
    return ProviderService().store(key=key, given=given, caller=SYSTEM)


def shown(key):
    return next(each for each in ProviderService().providers(caller=SYSTEM) if each.key == key)


def test_stored_settings_override_the_environment_at_once(override_environment):
    override_environment(twilio_from="+1000", twilio_account_sid=SID)

    response = store("twilio", auth_token="very-secret", **{"from": "+15005550006"})

    assert account("twilio").twilio_from == "+15005550006"
    assert account("twilio").twilio_auth_token == "very-secret"
    assert account("twilio").twilio_account_sid == SID
    assert response.missing == []
    assert {name: each.source for name, each in response.settings.items()} == {
        "account_sid": "environment",
        "auth_token": "stored",
        "from": "stored",
        "messaging_service": "default",
        "base_url": "default",
    }


def test_secrets_are_stored_encrypted_and_never_shown():
    store("twilio", auth_token="very-secret")

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM notifications_providerconfig")
        rows = repr(cursor.fetchall())
    response = shown("twilio")
    assert "very-secret" not in rows
    assert (response.settings["auth_token"].value, response.settings["auth_token"].secret) == (
        None,
        True,
    )
    assert "very-secret" not in repr(response)
    assert "very-secret" not in repr(list(OperatorAction.objects.values()))


def test_every_change_is_recorded():
    store("twilio", **{"from": "+15005550006"})
    ProviderService().delete(key="twilio", caller=SYSTEM)

    rows = OperatorAction.objects.order_by("id").values_list("action", "target", "reason")
    assert list(rows) == [("provider.set", "twilio", "from"), ("provider.delete", "twilio", "")]


def test_a_deletion_restores_the_environment(override_environment):
    override_environment(twilio_from="+1000")
    store("twilio", **{"from": "+15005550006"})

    ProviderService().delete(key="twilio", caller=SYSTEM)

    assert account("twilio").twilio_from == "+1000"
    with pytest.raises(NotFound) as refused:
        ProviderService().delete(key="twilio", caller=SYSTEM)
    assert refused.value.code == "no_stored_settings"


def test_all_errors_are_reported_at_once():
    with pytest.raises(InvalidRequest) as refused:
        store("twilio", base_url="ftp://x", nonsense="1", auth_token="x" * 10)

    assert {(error.path, error.code) for error in refused.value.errors} == {
        ("settings.base_url", "invalid_setting"),
        ("settings.nonsense", "unknown_setting"),
    }
    assert not ProviderConfig.objects.exists()


def test_a_setting_has_a_maximum_length():
    with pytest.raises(InvalidRequest) as refused:
        store("twilio", auth_token="x" * 20_001)

    assert refused.value.errors[0].path == "settings.auth_token"


def test_an_unknown_provider_is_named():
    with pytest.raises(NotFound) as refused:
        store("pigeon")

    assert refused.value.code == "unknown_provider"


def test_missing_settings_are_reported_by_variable():
    response = shown("twilio")

    assert response.missing == [
        "CARILLON_TWILIO_ACCOUNT_SID",
        "CARILLON_TWILIO_AUTH_TOKEN",
        "CARILLON_TWILIO_FROM or CARILLON_TWILIO_MESSAGING_SERVICE",
    ]


def test_the_chosen_providers_are_marked(override_environment):
    override_environment(push_provider="fcm", fcm_credentials="/x", sms_provider="twilio")

    chosen = {each.key for each in ProviderService().providers(caller=SYSTEM) if each.chosen}

    assert {"fcm", "webpush", "twilio", "webhook", "in_app"} <= chosen
    assert not {"ses", "telegram"} & chosen


def test_a_change_has_a_new_version_even_after_a_deletion():
    seen = [version_of("twilio")]
    store("twilio", **{"from": "+1"})
    seen.append(version_of("twilio"))
    store("twilio", **{"from": "+2"})
    seen.append(version_of("twilio"))
    ProviderService().delete(key="twilio", caller=SYSTEM)
    seen.append(version_of("twilio"))

    assert len(set(seen[:3])) == 3
    assert seen[3] == 0


async def test_a_changed_provider_is_reopened_and_the_old_one_closed_after_its_calls():
    from notifications.delivery import accounts
    from notifications.delivery.accounts import StoredAccount
    from notifications.delivery.vendors.twilio.send import TwilioSMSProvider

    calls = ProviderCalls(load=lambda _: TwilioSMSProvider)
    first = await calls.provider("twilio")
    same = await calls.provider("twilio")
    accounts.use_stored({"twilio": StoredAccount(7, {"from": "+15005550009"})})
    try:
        second = await calls.provider("twilio")
    finally:
        accounts.use_stored({})
    third = await calls.provider("twilio")
    await calls.close()

    assert first is same
    assert second is not first
    assert second._from == "+15005550009"
    assert third._from == first._from
    assert not calls._retiring


@pytest.fixture
def twilio(override_environment):
    made = json.dumps({"sid": "SM1", "status": "queued", "error_code": None}).encode()
    active = json.dumps({"sid": SID, "status": "active"}).encode()

    def respond(request):
        return Reply(200, body=active) if request.method == "GET" else Reply(201, body=made)

    with HTTPSink(script=respond).run_in_thread() as sink:
        override_environment(
            twilio_base_url=sink.url,
            twilio_account_sid=SID,
            twilio_auth_token="t",
            twilio_from="+1",
        )
        yield sink


def test_a_test_is_sent_and_the_vendors_response_is_returned(twilio):
    response = ProviderService().send_test(
        key="twilio", to="+4915112345678", title="", body="Hello", caller=SYSTEM
    )

    assert (response.verdict, response.provider_message_id) == ("sent", "SM1")
    assert b"Hello" in twilio.requests[0].body
    assert OperatorAction.objects.get().action == "provider.test"


def test_a_refused_test_has_its_reason(twilio):
    twilio.script = lambda _: Reply(401, body=b'{"code": 20003}')

    response = ProviderService().send_test(
        key="twilio", to="+4915112345678", title="", body="", caller=SYSTEM
    )

    assert (response.verdict, response.error_code) == ("retry", "auth")
    assert response.error == "Twilio error 20003"


def test_a_test_needs_an_address():
    with pytest.raises(InvalidRequest) as refused:
        ProviderService().send_test(key="twilio", to=" ", title="", body="", caller=SYSTEM)

    assert refused.value.errors[0].code == "required"


def test_doctor_reports_a_working_and_a_failing_account(twilio):
    well = ProviderService().check(key="twilio", caller=SYSTEM)
    twilio.script = lambda _: Reply(401)
    ill = ProviderService().check(key="twilio", caller=SYSTEM)

    assert well == ""
    assert ill == "Twilio responds HTTP 401: check the account and the token"


def test_doctor_reports_missing_settings():
    assert "CARILLON_TELEGRAM_BOT_TOKEN" in ProviderService().check(key="telegram", caller=SYSTEM)


def test_browsers_get_the_key_that_signs_pushes(settings):
    first = browser_key()
    store("webpush", private_key="yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")

    assert len(first) == 87
    assert browser_key() == (
        "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
    )


def test_other_processes_see_a_change_within_seconds(frozen):
    ProviderConfig.objects.create(
        key="twilio", settings={"from": "+15005550009"}, updated_by="x", updated_at=frozen.now
    )

    refresh_accounts()  # as the next slice, receipt or list does

    assert account("twilio").twilio_from == "+15005550009"


def test_an_account_that_cannot_be_decrypted_does_not_affect_others():
    store("twilio", account_sid=SID, auth_token="stored")
    store("telegram", bot_token="1:stored")
    ProviderConfig.objects.filter(key="twilio").update(settings=b"not sealed at all")
    refresh_accounts(at_once=True)
    assert account("telegram").telegram_bot_token == "1:stored"
    assert account("twilio").twilio_auth_token == ""


def test_doctor_reports_an_unusable_dkim_key(db, override_environment):
    override_environment(smtp_dkim_keys=("example.com:s1:/none.pem",))
    found = ProviderService().check(key="smtp", caller=SYSTEM)
    assert found == "the key of example.com:s1 cannot be read: No such file or directory"


def test_doctor_checks_the_mail_server_and_the_dns(db, override_environment):
    override_environment(email_provider="smtp", smtp_dkim_keys=("example.com:s1:/none.pem",))
    found = {each.name: each for each in doctor._providers()}
    assert not found["provider smtp"].well
    assert found["provider smtp"].detail.startswith("the key of example.com:s1 cannot be read")


def test_doctor_reports_why_all_callbacks_are_refused(db, override_environment):
    override_environment(
        email_provider="anymail",
        anymail_backend="postmark",
        anymail_settings='{"server_token": "t"}',
    )
    found = {each.name: each for each in doctor._providers()}
    assert not found["callbacks anymail"].well
    assert found["callbacks anymail"].detail == (
        "callbacks of postmark cannot be verified:"
        " set CARILLON_ANYMAIL_WEBHOOK_SECRET (user:password)"
    )

    override_environment(anymail_webhook_secret="a:b")
    assert "callbacks anymail" not in {each.name for each in doctor._providers()}
