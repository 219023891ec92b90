"""The texts of the mail that requests the confirmation of a consent, in English and Russian."""

from __future__ import annotations

from typing import Any

PATH = "system.confirm_consent"
_WHAT = (
    "{% if topic %}“{{ topic }}” from {{ app_name }}"
    "{% else %}news and offers of {{ app_name }}{% endif %}"
)
_WHAT_RU = (
    "{% if topic %}«{{ topic }}» от {{ app_name }}"
    "{% else %}новости и предложения {{ app_name }}{% endif %}"
)
_BODY = (
    f"Please confirm that you want to get {_WHAT}:\n\n"
    "{{ confirm_url }}\n\n"
    "The link is good for {{ days }} days. If you did not ask for it, you need do nothing:"
    " without your confirmation nothing is sent.\n\n-- \n{{ app_name }}\n"
)
_BODY_RU = (
    f"Подтвердите, пожалуйста, что вы хотите получать {_WHAT_RU}:\n\n"
    "{{ confirm_url }}\n\n"
    "Ссылка действует {{ days }} дней. Если вы об этом не просили, ничего делать не нужно:"  # noqa: RUF001 -- Russian
    " без подтверждения ничего не придёт.\n\n-- \n{{ app_name }}\n"
)


def template_fields() -> dict[str, Any]:
    """Returns the template's fields except its category."""
    return {
        "name": "Confirmation of consent",
        "path": PATH,
        "default_priority": 2,
        "supported_channels": ["email"],
        "required_variables": ["confirm_url", "days", "topic"],
        "optional_variables": [],
        "default_locale": "en",
        "email_subject_template": "Please confirm: " + _WHAT,
        "email_body_template": _BODY,
        "translations": {
            "ru": {
                "email_subject_template": "Подтвердите, пожалуйста: " + _WHAT_RU,
                "email_body_template": _BODY_RU,
            }
        },
    }
