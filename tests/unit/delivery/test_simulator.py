"""The simulator: no vendor is called, and each address has its named result."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from notifications.delivery.provider_calls import ProviderCalls
from notifications.delivery.registry import PROVIDERS, provider_class
from notifications.delivery.vendors.simulator.addresses import OUTCOMES, outcome_named, simulated
from notifications.domain.messages import Content, OutboundMessage, Verdict

NAMES = list(OUTCOMES)


def message(recipient, *, attempt=1, channel="email"):
    return OutboundMessage(
        message_id=1,
        reference="r.email",
        channel=channel,
        recipient=recipient,
        content=Content("Title", "Body"),
        attempt=attempt,
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_form_of_address_names_every_outcome(name):
    place = NAMES.index(name)
    for address in (
        f"{name}@simulator.carillon",
        f"{name}+order-7@shop.simulator.carillon",
        f"{name.upper()}@Simulator.Carillon",
        f"https://{name}.simulator.carillon/hook?x=1",
        f"https://{name}.eu.simulator.carillon",
        f'{{"endpoint":"https://{name}.simulator.carillon/push","keys":{{}}}}',
        f"slack://{name}.simulator.carillon:443/x",
        f"+1500555{100 + place:04}",
        f"999000000000{100 + place:07}",
    ):
        assert outcome_named(address) == name, address


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com",
        "bounced@simulator.carillon.example.com",
        "bounced@notsimulator.carillon",
        "unknown@simulator.carillon",
        "https://example.com/?next=//bounced.simulator.carillon.example.com/",
        "+15005550006",  # Twilio's own
        "+15005550199",
        "9990000000000000199",
        "",
    ],
)
def test_other_addresses_are_not_simulated(address):
    assert outcome_named(address) == ""


@pytest.mark.parametrize(
    ("name", "verdict", "code", "dead"),
    [
        ("delivered", Verdict.SENT, "", False),
        ("bounced", Verdict.SENT, "", False),
        ("complained", Verdict.SENT, "", False),
        ("sent", Verdict.SENT, "", False),
        ("temporary", Verdict.RETRY, "simulated_temporary", False),
        ("throttled", Verdict.RETRY, "simulated_throttling", False),
        ("failing", Verdict.RETRY, "simulated_temporary", False),
        ("rejected", Verdict.FAILED, "simulated_rejection", False),
        ("invalid", Verdict.FAILED, "invalid_recipient", True),
        ("unsubscribed", Verdict.FAILED, "unsubscribed", True),
        ("uncertain", Verdict.UNCERTAIN, "simulated_timeout", False),
    ],
)
def test_the_first_attempt_has_the_named_result(name, verdict, code, dead):
    result = simulated(message(f"{name}@simulator.carillon"))
    assert result is not None
    assert (result.verdict, result.error_code, result.recipient_dead) == (verdict, code, dead)
    assert result.simulated


@pytest.mark.parametrize(("name", "verdict"), [("temporary", "sent"), ("throttled", "sent")])
def test_a_failure_of_the_first_attempt_is_sent_at_the_second(name, verdict):
    result = simulated(message(f"{name}@simulator.carillon", attempt=2))
    assert result is not None
    assert (result.verdict, result.receipts) == (verdict, ("delivered",))


@pytest.mark.parametrize("key", [k for k in PROVIDERS if k != "sandbox"])
def test_the_simulator_opens_no_provider(key):
    class Never(provider_class(key)):  # type: ignore[misc]
        async def open(self) -> None:
            raise AssertionError("opened")

    reported = []
    calls = ProviderCalls(load=lambda _: Never)
    messages = [message(f"{name}@simulator.carillon") for name in NAMES]

    async def go() -> None:
        await calls.send(
            key,
            messages,
            timeout_s=1,
            on_results=lambda m, r: reported.extend(zip(m, r, strict=True)),
        )
        await calls.close()

    asyncio.run(go())
    assert [(m.recipient, r.verdict) for m, r in reported] == [
        (m.recipient, simulated(m).verdict) for m in messages
    ]


def test_the_page_lists_every_outcome_with_its_number():
    page = (Path(__file__).parents[3] / "docs/howto/simulate.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+)` \| ([0-9]{2}) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(name, f"{at:02}", what) for at, (name, what) in enumerate(OUTCOMES.items())]
