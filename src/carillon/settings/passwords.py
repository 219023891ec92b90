"""Passwords of staff may not be made of words that everybody connects with the service."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

WORDS = ("carillon", "notification", "notifications", "administrator", "password")
_LEAST_OWN = 8
_LEAST_WORD = 4


class NoWordsOfTheService:
    """Refuses a password that is little more than a word of the service, its name or its host.

    A phrase may have such a word: eight other characters must stay.
    """

    def __init__(self, app_name: str = "", public_url: str = "") -> None:
        """app_name, public_url: CARILLON_APP_NAME and CARILLON_PUBLIC_URL."""
        host = urlsplit(public_url).hostname or ""
        parts = [*WORDS, *re.split(r"\W+", app_name), *host.split(".")]
        words = {part.casefold() for part in parts if len(part) >= _LEAST_WORD}
        self._words = sorted(words, key=lambda word: (-len(word), word))

    def validate(self, password: str, user: object = None) -> None:
        """Checks a password.

        Raises:
            ValidationError: password_of_service.
        """
        left = password.casefold()
        for word in self._words:
            left = left.replace(word, "")
        if left != password.casefold() and len(left) < _LEAST_OWN:
            raise ValidationError(self.get_help_text(), code="password_of_service")

    def get_help_text(self) -> str:
        """Returns the rule as a sentence."""
        return gettext(
            "The password must have eight characters beside the name or address of the service."
        )
