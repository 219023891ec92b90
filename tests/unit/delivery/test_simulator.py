"""The simulator: no vendor is called, and each outcome is the one that was asked for."""

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
def test_other_addresses_are_nobodys(address):
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
def test_the_first_try_has_the_outcome_that_was_asked_for(name, verdict, code, dead):
    result = simulated(message(f"{name}@simulator.carillon"))
    assert result is not None
    assert (result.verdict, result.error_code, result.recipient_dead) == (verdict, code, dead)
    assert result.simulated


@pytest.mark.parametrize(("name", "verdict"), [("temporary", "sent"), ("throttled", "sent")])
def test_what_fails_at_first_is_taken_at_the_second_try(name, verdict):
    result = simulated(message(f"{name}@simulator.carillon", attempt=2))
    assert result is not None
    assert (result.verdict, result.receipts) == (verdict, ("delivered",))


@pytest.mark.parametrize("key", [k for k in PROVIDERS if k != "sandbox"])
def test_no_provider_is_even_opened_for_the_simulator(key):
    class Never(provider_class(key)):  # type: ignore[misc]
        async def open(self) -> None:
            raise AssertionError("opened")

    told = []
    calls = ProviderCalls(load=lambda _: Never)
    messages = [message(f"{name}@simulator.carillon") for name in NAMES]

    async def go() -> None:
        await calls.send(
            key, messages, timeout_s=1, on_results=lambda m, r: told.extend(zip(m, r, strict=True))
        )
        await calls.close()

    asyncio.run(go())
    assert [(m.recipient, r.verdict) for m, r in told] == [
        (m.recipient, simulated(m).verdict) for m in messages
    ]


def test_the_page_lists_every_outcome_with_its_number():
    page = (Path(__file__).parents[3] / "docs/howto/simulate.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+)` \| ([0-9]{2}) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(name, f"{at:02}", what) for at, (name, what) in enumerate(OUTCOMES.items())]
