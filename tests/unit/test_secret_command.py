"""An operator of the service can print the secrets that other systems need."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from django.conf import settings
from standardwebhooks import Webhook

from carillon.cli import carillon
from carillon.cli.secret import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_printed_secret_is_the_one_in_use(name: str) -> None:
    found: Any = CliRunner().invoke(carillon, ["secret", name])

    assert found.exit_code == 0, found.output
    assert found.output.strip() == getattr(settings, NAMES[name])
    if name != "telegram":
        Webhook(found.output.strip())  # a receiver's own library accepts it


def test_an_unknown_name_is_reported() -> None:
    assert CliRunner().invoke(carillon, ["secret", "jwt"]).exit_code == 2
