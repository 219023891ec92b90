"""SecureNotificationData does what its documents say, over the vault."""

from __future__ import annotations

import pytest

from notifications.privacy import SecureNotificationData
from tests.integration.factories import make_user
from vault.store import erase_keys

pytestmark = pytest.mark.django_db
DATA = {"email": "ann@example.com", "phone": "+4915112345678", "order": 7}


def test_personal_fields_are_sealed_and_opened_again():
    protector = SecureNotificationData()
    sealed = protector.encrypt_pii({**DATA, "full_name": "Ann Lee", "address": "Main Street 1"})
    assert set(sealed) == {
        "encrypted_email", "encrypted_phone", "encrypted_full_name", "encrypted_address", "order"
    }  # fmt: skip
    assert "ann@example.com" not in str(sealed)
    opened = protector.decrypt_pii(sealed)
    assert opened == {**DATA, "full_name": "Ann Lee", "address": "Main Street 1"}


def test_an_erasure_makes_the_fields_of_a_person_unreadable():
    user = make_user()
    sealed = SecureNotificationData(user=user).encrypt_pii(DATA)
    assert SecureNotificationData().decrypt_pii(sealed) == DATA
    user.refresh_from_db()
    erase_keys([user.key_id])
    assert SecureNotificationData().decrypt_pii(sealed) == sealed


@pytest.mark.parametrize("value", ["nonsense", "", "AAAA", 7, None])
def test_a_field_that_cannot_be_opened_stays(value):
    assert SecureNotificationData().decrypt_pii({"encrypted_email": value}) == {
        "encrypted_email": value
    }


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("mail to ann.lee+x@mail.example.co.uk now", "mail to [EMAIL] now"),
        ("call (555) 123-4567 or +49 151 12345678", "call [PHONE] or [PHONE]"),
        ("Ann Lee and Анна Ли signed in", "[NAME] and [NAME] signed in"),
        ("message 4711 of user 12", "message 4711 of user 12"),
    ],
)
def test_a_text_of_the_log_has_no_personal_data(text, clean):
    assert SecureNotificationData().sanitize_logs(text) == clean
