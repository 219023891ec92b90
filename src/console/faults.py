"""What a page says of an error of a service, and with which status."""

from __future__ import annotations

from django.utils.translation import gettext as _

from console.sentences.translating import translated
from notifications.domain.errors import CarillonError, FieldError, InvalidRequest, RenderingBusy
from notifications.features.access.throttles import Throttled

CHANGED = "concurrent_change"
"""The code of an error: another person changed what the form was made of."""


def is_changed(fault: CarillonError | None) -> bool:
    """Returns whether another person changed what a form was made of."""
    return fault is not None and fault.code == CHANGED


def status_of(fault: CarillonError) -> int:
    """Returns the status of a page that shows an error."""
    if isinstance(fault, Throttled):
        return 429
    if is_changed(fault):
        return 409
    return 503 if isinstance(fault, RenderingBusy) else 400


def faults_of(fault: CarillonError | None) -> list[tuple[str, str]]:
    """Returns the errors of a form: each with the field that it is about."""
    if fault is None:
        return []
    if isinstance(fault, InvalidRequest):
        return [(each.path, translated(each.detail)) for each in fault.errors]
    return [("", said(fault))]


def said(fault: CarillonError) -> str:
    """Returns what is wrong, in the language of the page."""
    return translated(fault.detail)


def unknown_action() -> InvalidRequest:
    """Returns the error for a form that names no action of its page."""
    return InvalidRequest([FieldError("action", "invalid_choice", _("choose what to do"))])
