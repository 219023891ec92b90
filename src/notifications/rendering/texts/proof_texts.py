"""The texts of the template that sends a code to an address, in English and Russian."""

from __future__ import annotations

from typing import Any

PATH = "system.verification"
_RUSSIAN_BODY = """{{ code }}

Введите этот код, чтобы подтвердить, что это ваш адрес. Код действует {{ minutes }} минут.
Если вы его не запрашивали, ничего делать не нужно.

--\u0020
{{ app_name }}
"""  # noqa: RUF001 -- Russian


def template_fields() -> dict[str, Any]:
    """Returns the template's fields except its category."""
    return {
        "name": "Address verification",
        "path": PATH,
        "default_priority": 2,
        "supported_channels": ["email", "sms"],
        "required_variables": ["code", "minutes"],
        "optional_variables": [],
        "default_locale": "en",
        "email_subject_template": "{{ code }} is your code for {{ app_name }}",
        "email_body_template": (
            "{{ code }}\n\nEnter this code to confirm that this address is yours."
            " It is good for {{ minutes }} minutes.\n"
            "If you did not ask for it, you need do nothing.\n\n-- \n{{ app_name }}\n"
        ),
        "sms_template": "{{ code }} is your code for {{ app_name }}",
        "translations": {
            "ru": {
                "email_subject_template": "{{ code }} — ваш код для {{ app_name }}",
                "email_body_template": _RUSSIAN_BODY,
                "sms_template": "{{ code }} — ваш код для {{ app_name }}",
            }
        },
    }
