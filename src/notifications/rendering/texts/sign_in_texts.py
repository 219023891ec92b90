"""The texts of the mails to staff about their sign-in, in English and Russian."""

from __future__ import annotations

from typing import Any

# ruff: noqa: RUF001 -- Russian
INVITATION, RESET, NOTICE = (
    "system.staff_invitation",
    "system.password_reset",
    "system.sign_in_notice",
)
_SIGNED = "\n\n-- \n{{ app_name }}\n"
_TEXTS = {
    INVITATION: (
        "Invitation of staff",
        ("link_url", "hours"),
        "You are invited to {{ app_name }}",
        "You are invited to work with {{ app_name }}. Open this link and set up your sign-in:\n\n"
        "{{ link_url }}\n\n"
        "The link is valid for {{ hours }} hours and works once. Do not forward this mail.",
        "Приглашение: {{ app_name }}",
        "Вас приглашают работать с {{ app_name }}. Откройте ссылку и настройте вход:\n\n"
        "{{ link_url }}\n\n"
        "Ссылка действует {{ hours }} ч. и только один раз. Не пересылайте это письмо.",
    ),
    RESET: (
        "Link to a new password of staff",
        ("link_url", "minutes"),
        "A new password for {{ app_name }}",
        "Choose a new password here:\n\n{{ link_url }}\n\n"
        "The link is valid for {{ minutes }} minutes and works once. The new password ends all"
        " sessions. If you did not request this, you need do nothing.",
        "Новый пароль: {{ app_name }}",
        "Задайте новый пароль здесь:\n\n{{ link_url }}\n\n"
        "Ссылка действует {{ minutes }} мин. и только один раз. Новый пароль завершит все сеансы."
        " Если вы этого не запрашивали, ничего делать не нужно.",
    ),
    NOTICE: (
        "Notice about a sign-in of staff",
        ("what", "at", "client"),
        "{{ what }} ({{ app_name }})",
        "{{ what }}\n\nTime: {{ at }}\nAddress: {{ client }}\n\n"
        "If this was not you, inform your administrator at once.",
        "{{ what }} ({{ app_name }})",
        "{{ what }}\n\nВремя: {{ at }}\nАдрес: {{ client }}\n\n"
        "Если это были не вы, сразу сообщите администратору.",
    ),
}
_EVENTS = {
    "password_changed": ("Your password was changed", "Ваш пароль изменён"),
    "password_set": ("Your password was set", "Ваш пароль задан"),
    "password_reset": ("Your password was replaced by mail", "Ваш пароль заменён по почте"),
    "totp_activated": (
        "An authenticator app was added to your account",
        "К вашей учётной записи добавлено приложение с кодами",
    ),
    "totp_deactivated": (
        "The authenticator app of your account was removed",
        "Приложение с кодами удалено из вашей учётной записи",
    ),
    "recovery_codes_generated": (
        "New recovery codes were made for your account",
        "Для вашей учётной записи созданы новые коды восстановления",
    ),
    "webauthn_added": (
        "A passkey was added to your account",
        "К вашей учётной записи добавлен ключ доступа",
    ),
    "webauthn_removed": (
        "A passkey of your account was removed",
        "Ключ доступа удалён из вашей учётной записи",
    ),
    "account_connected": (
        "Single sign-on was connected to your account",
        "К вашей учётной записи подключён единый вход",
    ),
    "account_disconnected": (
        "Single sign-on was removed from your account",
        "Единый вход отключён от вашей учётной записи",
    ),
    "break_glass": (
        "A break-glass account signed in while single sign-on is enforced",
        "Аварийная учётная запись вошла в обход единого входа",
    ),
}
"""What happened, in English and Russian, by the name of the event."""


def event_text(event: str, locale: str) -> str:
    """Returns the sentence about an event in the language of a locale."""
    english, russian = _EVENTS[event]
    return russian if locale.lower().startswith("ru") else english


def template_fields(path: str) -> dict[str, Any]:
    """Returns the fields of the template at a path, except its category."""
    name, variables, subject, body, subject_ru, body_ru = _TEXTS[path]
    return {
        "name": name,
        "path": path,
        "default_priority": 2,
        "supported_channels": ["email"],
        "required_variables": list(variables),
        "optional_variables": [],
        "default_locale": "en",
        "email_subject_template": subject,
        "email_body_template": body + _SIGNED,
        "translations": {
            "ru": {
                "email_subject_template": subject_ru,
                "email_body_template": body_ru + _SIGNED,
            }
        },
    }
