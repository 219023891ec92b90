"""Dry runs from the console: short, counted, and one at a time for each member of staff."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _

from console.guard import Visit
from notifications.features.access.throttles import count_call, throttled_error
from notifications.features.audiences.service import AudienceService
from notifications.infra import clock

SECONDS = 1.5
"""People are examined for so long. A page holds one of few threads of a web process meanwhile."""
A_MINUTE = 20
_lock = threading.Lock()
_running: set[int] = set()
"""The ids of the users of whom this process examines an audience now."""


@contextmanager
def one_survey(visit: Visit) -> Iterator[None]:
    """Counts a dry run, and keeps others of the same visitor away until it has ended.

    Raises:
        Throttled: A_MINUTE within a minute; another one of the visitor runs in this process.
    """
    count_call("dry-run", visit.caller, most=A_MINUTE, now=clock.now())
    key = visit.user.pk
    with _lock:
        if key in _running:
            raise throttled_error(_("your last count has not ended"), seconds=SECONDS)
        _running.add(key)
    try:
        yield
    finally:
        with _lock:
            _running.discard(key)


def count_people(visit: Visit, audience: Mapping[str, Any]) -> int:
    """Returns how many people an audience has, as one survey of the visitor."""
    with one_survey(visit):
        found = AudienceService().count(audience=audience, caller=visit.caller, now=clock.now())
    return found.count
