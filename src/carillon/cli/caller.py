"""The caller of commands: a person who may run them may do everything."""

from __future__ import annotations

from notifications.domain.callers import Caller

CALLER = Caller(name="cli", is_service=True, is_staff=True)
