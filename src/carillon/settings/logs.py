"""Structured logs: one event a line, ids and never addresses or bodies."""

from __future__ import annotations

import re
from typing import Any

import structlog

_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++\.[\w.-]+|\+\d{7,15}\b")


def redact(_: Any, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Replaces anything that looks like an address: the last net under code that logs ids only."""
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
# One list for the life of the process: a logger keeps the list of its first event.
_PROCESSORS: list[Any] = [
    structlog.stdlib.filter_by_level,
    *_SHARED,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


def logging_config(*, level: str, json: bool) -> dict[str, Any]:
    """A dictConfig in which the standard library's and structlog's events come out alike."""
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
            "carillon.security": {"level": "INFO"},  # whatever else is left out of the log
            "django.request": {"level": "ERROR"},
            "uvicorn.access": {"level": "WARNING"},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            # Libraries that name addresses and tokens in what they log.
            "apprise": {"level": "DEBUG", "propagate": False},  # captured where it is needed
            "urllib3": {"level": "WARNING"},
            "botocore": {"level": "WARNING"},
        },
    }
