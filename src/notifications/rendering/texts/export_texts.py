"""The texts of the mail with the link to a person's data, in English and Russian."""

from __future__ import annotations

from typing import Any

PATH = "system.your_data"
_BODY = (
    "You can download what {{ app_name }} has stored about you:\n\n"
    "{{ data_url }}\n\n"
    "The link is valid for {{ minutes }} minutes. Do not forward this mail: who has the link can"
    " read your data. If you did not request it, you need do nothing.\n\n-- \n{{ app_name }}\n"
)
# ruff: noqa: RUF001 -- Russian
_BODY_RU = (
    "Здесь можно скачать всё, что {{ app_name }} хранит о вас:\n\n"
    "{{ data_url }}\n\n"
    "Ссылка действует {{ minutes }} минут. Не пересылайте это письмо: по ссылке видны ваши"
    " данные. Если вы её не запрашивали, ничего делать не нужно.\n\n-- \n{{ app_name }}\n"
)


def template_fields() -> dict[str, Any]:
    """Returns the template's fields except its category."""
    return {
        "name": "Link to your data",
        "path": PATH,
        "default_priority": 2,
        "supported_channels": ["email"],
        "required_variables": ["data_url", "minutes"],
        "optional_variables": [],
        "default_locale": "en",
        "email_subject_template": "Your data at {{ app_name }}",
        "email_body_template": _BODY,
        "translations": {
            "ru": {
                "email_subject_template": "Ваши данные: {{ app_name }}",
                "email_body_template": _BODY_RU,
            }
        },
    }
