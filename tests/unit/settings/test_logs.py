"""A logger that has been used follows the configuration that comes later."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from carillon.settings.logs import logging_config


def test_a_second_configuration_reaches_loggers_that_have_been_used() -> None:
    used = structlog.get_logger("carillon.settings.test")
    used.warning("before")
    logging_config(level="INFO", json=False)
    with capture_logs() as lines:
        used.warning("after")
    assert [line["event"] for line in lines] == ["after"]
