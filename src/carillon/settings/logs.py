"""Configures structured logs: one event a line, with ids and never addresses or bodies."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from carillon.settings.redacting import LogHandler, SecurityFileHandler, redact

SECURITY_LOGGER = "carillon.security"
TO_STDERR = "stderr"
_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]
# One list for the life of the process: a logger caches the list of its first event.
_PROCESSORS: list[Any] = [
    structlog.stdlib.filter_by_level,
    *_SHARED,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


class NoSecurityEvent(logging.Filter):
    """Passes what is no security event: those have a handler of their own."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is of another logger."""
        return record.name != SECURITY_LOGGER


def logging_config(*, level: str, json: bool, security_log: str = TO_STDERR) -> dict[str, Any]:
    """Returns a dictConfig that formats events of the standard library and structlog alike.

    security_log: where security events go, as JSON lines: `stderr` or the path of a file.
    """
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"others": {"()": NoSecurityEvent}},
        "formatters": {"event": _formatter(json=json), "security": _formatter(json=True)},
        "handlers": {
            "stderr": {"()": LogHandler, "formatter": "event", "filters": ["others"]},
            "security": {**_security_handler(security_log), "formatter": "security"},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            SECURITY_LOGGER: {"level": "INFO", "handlers": ["security"]},  # at every log level
            "django.request": {"level": "ERROR"},
            "uvicorn.access": {"level": "WARNING"},
            "uvicorn.error": {"level": "WARNING"},  # it logs the URLs of sockets, with their tokens
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            # These libraries log addresses and tokens.
            "apprise": {"level": "DEBUG", "propagate": False},  # its provider captures the events
            "urllib3": {"level": "WARNING"},
            "botocore": {"level": "WARNING"},
        },
    }


def _formatter(*, json: bool) -> dict[str, Any]:
    """Returns a formatter whose last step before the text is the redaction."""
    last: Any = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, last],
        "foreign_pre_chain": [*_SHARED, structlog.stdlib.ExtraAdder()],
    }


def _security_handler(security_log: str) -> dict[str, Any]:
    if security_log == TO_STDERR:
        return {"()": LogHandler}
    return {"()": SecurityFileHandler, "filename": security_log, "delay": True}
