"""Provider calls: batch sizes, limits, early results, and exceptions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from notifications.delivery.base import (
    Capabilities,
    NotificationChannelProvider,
    call_safely,
    outcome_of,
    payload_of,
    result_of,
)
from notifications.delivery.provider_calls import NOT_OPENED, NOT_STARTED, ProviderCalls
from notifications.delivery.vendors.in_app.send import InboxProvider
from notifications.delivery.vendors.sandbox.send import SandboxProvider
from notifications.domain.messages import Content, OutboundMessage, SendResult, Verdict
from notifications.infra import clock


def message(number: int, **fields: Any) -> OutboundMessage:
    return OutboundMessage(
        **{
            "message_id": number,
            "reference": f"{number:x}.fake",
            "channel": "fake",
            "recipient": f"u{number}",
            "content": Content("Hello", "Body"),
            **fields,
        }
    )


class Fake(NotificationChannelProvider):
    """Records its messages; each call waits for the gate."""

    key: ClassVar[str] = "fake"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="fake", batch_size=10, concurrency=3
    )
    made: ClassVar[list[Fake]] = []

    def __init__(self) -> None:
        self.made.append(self)
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.full = asyncio.Event()
        self.running = 0
        self.most_running = 0
        self.opened = 0
        self.closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"success": True, "message_id": f"to-{recipient}"}

    async def validate_recipient(self, recipient: str) -> bool:
        return recipient != "bad"

    async def send_batch(self, messages: Sequence[OutboundMessage]) -> list[SendResult]:
        self.batches.append([one.message_id for one in messages])
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        if self.running >= self.capabilities.concurrency:
            self.full.set()
        await self.gate.wait()
        self.running -= 1
        return [SendResult(Verdict.SENT, provider_message_id=one.reference) for one in messages]


@pytest.fixture(autouse=True)
def forget_fakes():
    yield
    Fake.made.clear()


@pytest.fixture
async def calls():
    made = ProviderCalls(load=lambda _key: Fake)
    yield made
    await made.close()


class Results:
    def __init__(self) -> None:
        self.by_id: dict[int, SendResult] = {}
        self.parts: list[int] = []

    def __call__(self, messages, results):
        assert len(messages) == len(results)
        self.parts.append(len(messages))
        for one, result in zip(messages, results, strict=True):
            assert one.message_id not in self.by_id
            self.by_id[one.message_id] = result


async def test_messages_are_split_into_calls_of_the_declared_size(calls):
    results_seen = Results()
    fake = await calls.provider("fake")
    fake.gate.set()

    await calls.send("fake", [message(n) for n in range(35)], timeout_s=5, on_results=results_seen)

    assert sorted(map(len, fake.batches)) == [5, 10, 10, 10]
    assert sorted(results_seen.by_id) == list(range(35))
    assert {result.verdict for result in results_seen.by_id.values()} == {Verdict.SENT}
    assert results_seen.by_id[7].provider_message_id == "7.fake"
    assert results_seen.by_id[7].duration_s > 0


async def test_open_calls_never_exceed_the_declared_number(calls):
    results_seen = Results()
    fake = await calls.provider("fake")
    groups = [[message(100 * g + n) for n in range(50)] for g in range(4)]

    tasks = [
        asyncio.create_task(calls.send("fake", g, timeout_s=5, on_results=results_seen))
        for g in groups
    ]
    async with asyncio.timeout(5):
        await fake.full.wait()
    fake.gate.set()
    await asyncio.gather(*tasks)

    assert fake.most_running == 3
    assert len(results_seen.by_id) == 200


async def test_a_provider_is_opened_once_and_closed(calls):
    first, second = await asyncio.gather(calls.provider("fake"), calls.provider("fake"))
    await calls.close()

    assert first is second
    assert (first.opened, first.closed, len(Fake.made)) == (1, 1, 1)


async def test_each_result_is_reported_as_soon_as_its_call_ends(calls):
    fake = await calls.provider("fake")
    reported = asyncio.Event()
    results_seen = Results()

    async def send_batch(messages):
        if messages[0].message_id == 0:
            await reported.wait()  # the first call ends only after the results of the others
        return [SendResult(Verdict.SENT)] * len(messages)

    def on_results(messages, results):
        results_seen(messages, results)
        if len(results_seen.by_id) == 20:
            reported.set()

    fake.send_batch = send_batch
    await calls.send("fake", [message(n) for n in range(30)], timeout_s=5, on_results=on_results)

    assert len(results_seen.by_id) == 30


async def test_messages_of_a_provider_that_cannot_be_opened_are_retried():
    class Closed(Fake):
        async def open(self):
            raise OSError("no such file for ann@example.org")

    results_seen = Results()
    calls = ProviderCalls(load=lambda _key: Closed)

    await calls.send("fake", [message(1), message(2)], timeout_s=5, on_results=results_seen)

    assert results_seen.by_id == {1: NOT_OPENED, 2: NOT_OPENED}
    assert NOT_OPENED.verdict is Verdict.RETRY
    assert NOT_OPENED.error_code == "provider_start_failed"


async def test_messages_of_an_unknown_key_are_retried():
    results_seen = Results()

    await ProviderCalls().send("carrier-pigeon", [message(1)], timeout_s=5, on_results=results_seen)

    assert results_seen.by_id == {1: NOT_OPENED}


async def test_without_messages_no_provider_is_opened(calls):
    await calls.send("fake", [], timeout_s=5, on_results=Results())

    assert Fake.made == []


async def test_no_call_starts_after_the_deadline(calls):
    results_seen = Results()
    fake = await calls.provider("fake")
    fake.gate.set()
    ends_at = clock.monotonic() + 60
    checked = []

    def deadline():
        checked.append(1)
        return ends_at if len(checked) < 3 else 0.0

    await calls.send(
        "fake",
        [message(n) for n in range(50)],
        timeout_s=5,
        on_results=results_seen,
        deadline=deadline,
    )

    assert len(checked) == 5
    assert sum(map(len, fake.batches)) == 20
    late = [result for result in results_seen.by_id.values() if result is NOT_STARTED]
    assert len(late) == 30
    assert (NOT_STARTED.verdict, NOT_STARTED.error_code) == (Verdict.RETRY, "not_started")


async def test_an_exception_of_on_results_is_raised_after_all_calls_ended(calls):
    fake = await calls.provider("fake")
    fake.gate.set()
    reported = []

    def on_results(messages, _results):
        reported.append(messages[0].message_id)
        if messages[0].message_id == 0:
            raise RuntimeError("cannot record")

    with pytest.raises(RuntimeError, match="cannot record"):
        await calls.send(
            "fake", [message(n) for n in range(60)], timeout_s=5, on_results=on_results
        )

    assert sorted(reported) == [0, 10, 20, 30, 40, 50]


async def test_a_provider_that_cannot_be_closed_does_not_prevent_the_others():
    class Stubborn(Fake):
        async def close(self):
            await super().close()
            raise OSError("stuck")

    calls = ProviderCalls(load=lambda key: Stubborn if key == "a" else Fake)
    stubborn, good = await calls.provider("a"), await calls.provider("b")

    await calls.close()

    assert (stubborn.closed, good.closed) == (1, 1)


class TestCallSafely:
    async def test_a_timeout_is_uncertain(self):
        fake = Fake()

        results = await call_safely(fake, [message(1), message(2)], 0.01)

        assert [result.verdict for result in results] == [Verdict.UNCERTAIN] * 2
        assert results[0].error == "no response within 0.01 s"
        assert results[0].error_code == "deadline"

    @pytest.mark.parametrize("number", [0, 1, 3])
    async def test_a_wrong_number_of_results_is_uncertain(self, number):
        fake = Fake()

        async def miscount(_messages):
            return [SendResult(Verdict.SENT)] * number

        fake.send_batch = miscount
        results = await call_safely(fake, [message(1), message(2)], 5)

        assert [result.error_code for result in results] == ["provider_result_mismatch"] * 2
        assert results[0].error == f"2 messages, but {number} results"

    async def test_a_result_that_is_no_list_is_uncertain(self):
        fake = Fake()

        async def nothing(_messages):
            return None

        fake.send_batch = nothing
        (result,) = await call_safely(fake, [message(1)], 5)

        assert (result.verdict, result.error_code) == (Verdict.UNCERTAIN, "provider_exception")
        assert result.error == "the provider raised TypeError"

    async def test_a_cancellation_is_raised(self):
        task = asyncio.create_task(call_safely(Fake(), [message(1)], 5))
        await asyncio.sleep(0)
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task


class TestTheDocumentedDoor:
    async def test_a_batch_calls_send_for_each_message(self):
        good, bad = message(1), message(2, recipient="bad")

        results = await NotificationChannelProvider.send_batch(Fake(), [good, bad])

        assert results[0] == SendResult(Verdict.SENT, provider_message_id="to-u1")
        assert results[1].verdict is Verdict.FAILED
        assert results[1].error_code == "invalid_recipient"
        assert results[1].recipient_dead

    def test_a_payload_has_every_field_of_a_message(self):
        payload = payload_of(message(1, priority=1, collapse_key="k", expires_at_s=5.0))

        assert payload["title"] == "Hello"
        assert payload["body"] == "Body"
        assert payload["reference"] == "1.fake"
        assert payload["priority"] == 1
        assert payload["collapse_key"] == "k"
        assert payload["expires_at_s"] == 5.0

    @pytest.mark.parametrize(
        "result",
        [
            SendResult(Verdict.SENT, provider_message_id="a", response={"status": 200}),
            SendResult(Verdict.DELIVERED),
            SendResult(Verdict.RETRY, error="e", error_code="c", retry_after_s=3.0),
            SendResult(Verdict.FAILED, error="e", error_code="c", recipient_dead=True),
            SendResult(Verdict.UNCERTAIN, error="e", error_code="c"),
        ],
    )
    def test_an_outcome_is_read_back_as_its_result(self, result):
        assert result_of(outcome_of(result)) == result


class TestRowChannels:
    async def test_the_inbox_delivers_by_its_row(self):
        results = await InboxProvider().send_batch([message(n) for n in range(500)])

        assert len(results) == 500
        assert {result.verdict for result in results} == {Verdict.DELIVERED}
        assert result_of(await InboxProvider().send("7", {})).verdict is Verdict.DELIVERED

    async def test_the_sandbox_accepts_all_with_our_reference(self):
        (result,) = await SandboxProvider().send_batch([message(1)])

        assert result == SendResult(Verdict.SENT, provider_message_id="sandbox-1.fake")
        assert result_of(await SandboxProvider().send("x", {"reference": "1.fake"})) == result

    @pytest.mark.parametrize("provider", [InboxProvider, SandboxProvider])
    async def test_both_are_rows_and_accept_any_recipient(self, provider):
        assert provider.capabilities.row_channel
        assert await provider().validate_recipient("")
