"""Providers' accounts: stored encrypted, seen at once, tried out, and never shown."""

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


def put(key, **given):
    return ProviderService().put(key=key, given=given, caller=SYSTEM)


def shown(key):
    return next(each for each in ProviderService().providers(caller=SYSTEM) if each.key == key)


def test_what_is_stored_wins_over_the_environment_at_once(override_environment):
    override_environment(twilio_from="+1000", twilio_account_sid=SID)

    answer = put("twilio", auth_token="very-secret", **{"from": "+15005550006"})

    assert account("twilio").twilio_from == "+15005550006"
    assert account("twilio").twilio_auth_token == "very-secret"
    assert account("twilio").twilio_account_sid == SID
    assert answer.missing == []
    assert {name: each.source for name, each in answer.settings.items()} == {
        "account_sid": "environment",
        "auth_token": "stored",
        "from": "stored",
        "messaging_service": "default",
        "base_url": "default",
    }


def test_secrets_are_stored_sealed_and_never_shown():
    put("twilio", auth_token="very-secret")

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM notifications_providerconfig")
        rows = repr(cursor.fetchall())
    answer = shown("twilio")
    assert "very-secret" not in rows
    assert (answer.settings["auth_token"].value, answer.settings["auth_token"].secret) == (
        None,
        True,
    )
    assert "very-secret" not in repr(answer)
    assert "very-secret" not in repr(list(OperatorAction.objects.values()))


def test_every_change_is_written_down():
    put("twilio", **{"from": "+15005550006"})
    ProviderService().delete(key="twilio", caller=SYSTEM)

    rows = OperatorAction.objects.order_by("id").values_list("action", "target", "reason")
    assert list(rows) == [("provider.set", "twilio", "from"), ("provider.delete", "twilio", "")]


def test_deleting_brings_the_environment_back(override_environment):
    override_environment(twilio_from="+1000")
    put("twilio", **{"from": "+15005550006"})

    ProviderService().delete(key="twilio", caller=SYSTEM)

    assert account("twilio").twilio_from == "+1000"
    with pytest.raises(NotFound) as told:
        ProviderService().delete(key="twilio", caller=SYSTEM)
    assert told.value.code == "no_stored_settings"


def test_all_errors_are_told_at_once():
    with pytest.raises(InvalidRequest) as told:
        put("twilio", base_url="ftp://x", nonsense="1", auth_token="x" * 10)

    assert {(error.path, error.code) for error in told.value.errors} == {
        ("settings.base_url", "invalid_setting"),
        ("settings.nonsense", "unknown_setting"),
    }
    assert not ProviderConfig.objects.exists()


def test_a_setting_has_an_end():
    with pytest.raises(InvalidRequest) as told:
        put("twilio", auth_token="x" * 20_001)

    assert told.value.errors[0].path == "settings.auth_token"


def test_an_unknown_provider_is_named():
    with pytest.raises(NotFound) as told:
        put("pigeon")

    assert told.value.code == "unknown_provider"


def test_what_is_missing_is_told_by_variable():
    answer = shown("twilio")

    assert answer.missing == [
        "CARILLON_TWILIO_ACCOUNT_SID",
        "CARILLON_TWILIO_AUTH_TOKEN",
        "CARILLON_TWILIO_FROM or CARILLON_TWILIO_MESSAGING_SERVICE",
    ]


def test_the_chosen_providers_are_marked(override_environment):
    override_environment(push_provider="fcm", fcm_credentials="/x", sms_provider="twilio")

    chosen = {each.key for each in ProviderService().providers(caller=SYSTEM) if each.chosen}

    assert {"fcm", "webpush", "twilio", "webhook", "in_app"} <= chosen
    assert not {"ses", "telegram"} & chosen


def test_a_change_has_a_version_of_its_own_even_after_a_deletion():
    seen = [version_of("twilio")]
    put("twilio", **{"from": "+1"})
    seen.append(version_of("twilio"))
    put("twilio", **{"from": "+2"})
    seen.append(version_of("twilio"))
    ProviderService().delete(key="twilio", caller=SYSTEM)
    seen.append(version_of("twilio"))

    assert len(set(seen[:3])) == 3
    assert seen[3] == 0


async def test_an_open_provider_is_opened_anew_and_the_old_one_closed_after_its_calls():
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

    def answer(request):
        return Reply(200, body=active) if request.method == "GET" else Reply(201, body=made)

    with HTTPSink(script=answer).run_in_thread() as sink:
        override_environment(
            twilio_base_url=sink.url,
            twilio_account_sid=SID,
            twilio_auth_token="t",
            twilio_from="+1",
        )
        yield sink


def test_a_test_is_sent_and_the_vendors_answer_is_told(twilio):
    answer = ProviderService().send_test(
        key="twilio", to="+4915112345678", title="", body="Hello", caller=SYSTEM
    )

    assert (answer.verdict, answer.provider_message_id) == ("sent", "SM1")
    assert b"Hello" in twilio.requests[0].body
    assert OperatorAction.objects.get().action == "provider.test"


def test_a_test_that_is_refused_says_why(twilio):
    twilio.script = lambda _: Reply(401, body=b'{"code": 20003}')

    answer = ProviderService().send_test(
        key="twilio", to="+4915112345678", title="", body="", caller=SYSTEM
    )

    assert (answer.verdict, answer.error_code) == ("retry", "auth")
    assert answer.error == "Twilio error 20003"


def test_a_test_needs_an_address():
    with pytest.raises(InvalidRequest) as told:
        ProviderService().send_test(key="twilio", to=" ", title="", body="", caller=SYSTEM)

    assert told.value.errors[0].code == "required"


def test_doctor_hears_of_a_good_account_and_of_a_bad_one(twilio):
    well = ProviderService().check(key="twilio", caller=SYSTEM)
    twilio.script = lambda _: Reply(401)
    ill = ProviderService().check(key="twilio", caller=SYSTEM)

    assert well == ""
    assert ill == "Twilio responds HTTP 401: check the account and the token"


def test_doctor_hears_what_is_missing():
    assert "CARILLON_TELEGRAM_BOT_TOKEN" in ProviderService().check(key="telegram", caller=SYSTEM)


def test_browsers_get_the_key_that_pushes_are_signed_with(settings):
    first = browser_key()
    put("webpush", private_key="yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")

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


def test_an_account_that_cannot_be_unsealed_leaves_the_others_theirs():
    put("twilio", account_sid=SID, auth_token="stored")
    put("telegram", bot_token="1:stored")
    ProviderConfig.objects.filter(key="twilio").update(settings=b"not sealed at all")
    refresh_accounts(at_once=True)
    assert account("telegram").telegram_bot_token == "1:stored"
    assert account("twilio").twilio_auth_token == ""


def test_doctor_says_which_dkim_key_cannot_be_used(db, override_environment):
    override_environment(smtp_dkim_keys=("example.com:s1:/none.pem",))
    found = ProviderService().check(key="smtp", caller=SYSTEM)
    assert found == "the key of example.com:s1 cannot be read: No such file or directory"


def test_doctor_asks_the_mail_server_and_the_dns_too(db, override_environment):
    override_environment(email_provider="smtp", smtp_dkim_keys=("example.com:s1:/none.pem",))
    found = {each.name: each for each in doctor._providers()}
    assert not found["provider smtp"].well
    assert found["provider smtp"].detail.startswith("the key of example.com:s1 cannot be read")


def test_doctor_says_why_a_mail_services_reports_are_all_refused(db, override_environment):
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
