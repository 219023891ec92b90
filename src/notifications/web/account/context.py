"""What every page of the product shows, for templates of other libraries too."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import translation

from notifications.infra.conf import environment


def dress(request: HttpRequest) -> dict[str, Any]:
    """Returns the name of the platform, the language of the page, and the provider of sign-ins."""
    known = environment()
    return {
        "app_name": known.app_name,
        "language": translation.get_language() or "en",
        "single_sign_on": known.oidc_name if known.oidc_issuer else "",
        "passwords_allowed": not known.single_sign_on_enforced,
    }
