"""SecureNotificationData, with its documented methods: seals personal fields, cleans log texts."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import structlog

from directory.keys import load_keys_of_people
from directory.models import User
from notifications.infra.crypto import seal, unseal
from vault.cells import SealBroken

log = structlog.get_logger("notifications.security")
PII_FIELDS = ("email", "phone", "full_name", "address")
_PREFIX = "encrypted_"
_LONGEST = 100_000
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]++@[\w-]++(?:\.[\w-]++)+")
_PHONE = re.compile(r"(?<![\w+])\+?\(?\d(?:[-. ()]{0,2}\d){6,14}(?!\w)")
_NAME = re.compile(r"\b[^\W\d_a-z][^\W\d_A-Z]++ [^\W\d_a-z][^\W\d_A-Z]++\b")


class SecureNotificationData:
    """Seals the personal fields of a mapping, and removes personal data from texts.

    Args:
        user: whose data key seals, so that an erasure makes the fields unreadable. Without a user,
            the service's own key does.
    """

    def __init__(self, *, user: User | None = None) -> None:
        self._user = user

    def encrypt_pii(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the data with `encrypted_email` in place of `email`, and so on.

        Sealed are email, phone, full_name and address, as texts. The other values stay.

        Raises:
            KeyError: the user does not exist any more.
        """
        keys = load_keys_of_people([self._user.pk]) if self._user is not None else {}
        key = keys[self._user.pk] if self._user is not None else None
        found = {name: value for name, value in data.items() if name not in PII_FIELDS}
        for name in PII_FIELDS:
            if name in data:
                cell = seal(str(data[name]).encode(), key)
                found[f"{_PREFIX}{name}"] = base64.urlsafe_b64encode(cell).decode()
        return found

    def decrypt_pii(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the data with the fields that `encrypt_pii` sealed.

        A field that cannot be opened stays as it is, and is logged by its name: it was altered, or
        its person was erased.
        """
        found = dict(data)
        for name, value in data.items():
            if not name.startswith(_PREFIX):
                continue
            try:
                text = unseal(base64.urlsafe_b64decode(str(value))).decode()
            except (SealBroken, ValueError) as error:
                log.error("field.unreadable", code=name, error=type(error).__name__)
                continue
            found[name.removeprefix(_PREFIX)] = text
            del found[name]
        return found

    def sanitize_logs(self, message: str) -> str:
        """Returns a text with [EMAIL], [PHONE] and [NAME] in place of what looks like one.

        A name is recognized as two adjacent words that each begin with a capital letter.
        """
        text = _EMAIL.sub("[EMAIL]", message[:_LONGEST])
        return _NAME.sub("[NAME]", _PHONE.sub("[PHONE]", text))
