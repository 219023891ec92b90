"""Configures structured logs: one event a line, with ids and never addresses or bodies."""

from __future__ import annotations

import re
from typing import Any

import structlog

_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++\.[\w.-]+|\+\d{7,15}\b")


def redact(_: Any, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Replaces anything that looks like an address: a safeguard, since code logs only ids."""
    for key, value in event.items():
        if isinstance(value, str) and ("@" in value or "+" in value):
            event[key] = _ADDRESS.sub("[address]", value)
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    redact,
]
# One list for the life of the process: a logger caches the list of its first event.
_PROCESSORS: list[Any] = [
    structlog.stdlib.filter_by_level,
    *_SHARED,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


def logging_config(*, level: str, json: bool) -> dict[str, Any]:
    """Returns a dictConfig that formats events of the standard library and structlog alike."""
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: Any = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        "foreign_pre_chain": [*_SHARED, structlog.stdlib.ExtraAdder()],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"event": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "event"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "carillon.security": {"level": "INFO"},  # at every CARILLON_LOG_LEVEL
            "django.request": {"level": "ERROR"},
            "uvicorn.access": {"level": "WARNING"},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            # These libraries log addresses and tokens.
            "apprise": {"level": "DEBUG", "propagate": False},  # its provider captures the events
            "urllib3": {"level": "WARNING"},
            "botocore": {"level": "WARNING"},
        },
    }
