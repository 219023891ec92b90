"""Delivery stage: passes messages to providers. It uses no queue and no policy.

See docs/reference/provider-contract.md. The documented guards are loaded on first use: they read
rows, and parts of this package are imported before Django is ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from notifications.delivery.guards import AsyncRateLimiter, BreakerOpen, CircuitBreaker

__all__ = ["AsyncRateLimiter", "BreakerOpen", "CircuitBreaker"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("notifications.delivery.guards"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
