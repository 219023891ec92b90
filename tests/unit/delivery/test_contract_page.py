"""docs/reference/provider-contract.md agrees with the code."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from notifications.delivery.base import Capabilities, NotificationChannelProvider, payload_of
from notifications.delivery.registry import PROVIDERS
from notifications.delivery.retry import POLICIES
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.infra.http.client import PORTS

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "reference" / "provider-contract.md").read_text()
MESSAGE = OutboundMessage(1, "1.email", "email", "ann@example.org", Content("a", "b"))


@pytest.mark.parametrize(
    "name",
    [
        *(field.name for field in dataclasses.fields(Capabilities)),
        *(verdict.value for verdict in Verdict),
        *PROVIDERS,
        *POLICIES,
        *payload_of(MESSAGE),
        *("deadline", "provider_exception", "provider_result_mismatch"),
        *("not_started", "provider_start_failed", "auth"),
    ],
)
def test_the_contract_names_it(name):
    assert f"`{name}`" in PAGE


def test_the_contract_names_every_public_member():
    members = [name for name in vars(NotificationChannelProvider) if not name.startswith("_")]

    missing = [name for name in members if f"`{name}" not in PAGE and f"{name}()" not in PAGE]

    assert missing == []


def test_the_contract_names_the_ports_of_the_guard():
    for port in PORTS:
        assert str(port) in PAGE


def test_the_example_of_the_howto_can_be_compiled():
    page = (DOCS / "howto" / "add_a_provider.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]

    found: dict[str, object] = {}
    exec(compile(code, "add_a_provider.md", "exec"), found)

    made = found["PigeonSMSProvider"]
    assert issubclass(made, NotificationChannelProvider)
    assert made().capabilities.rate == "5/s"
