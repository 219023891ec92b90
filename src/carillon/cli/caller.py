"""The caller of commands: a person who may run them may do everything."""

from __future__ import annotations

from notifications.domain.callers import Caller
from notifications.domain.scopes import ALL_SCOPES

CALLER = Caller(name="cli", is_service=True, is_staff=True, scopes=ALL_SCOPES)
