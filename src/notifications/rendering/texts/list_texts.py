"""The end of a plain mail to a mailing list, in English and Russian."""

from __future__ import annotations

_LEAVE = {
    "en": "You get this email because you are on a mailing list. Unsubscribe:",
    "ru": "Вы получили это письмо, потому что подписаны на рассылку. Отписаться:",
}


def leave_footer(locale: str, url: str) -> str:
    """Returns the end of a text, which leads to the page for leaving the list."""
    language = locale.replace("-", "_").partition("_")[0].lower()
    return f"\n\n-- \n{_LEAVE.get(language, _LEAVE['en'])}\n{url}\n"
