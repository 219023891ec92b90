"""One message to several devices: the calls, and their common result."""

from __future__ import annotations

import pytest

from notifications.delivery.fan_out import fan_out, merged
from notifications.domain.messages import Content, OutboundMessage, SendResult, Target, Verdict

PHONE, TABLET, BROWSER = Target(1, "fcm", "p"), Target(2, "fcm", "t"), Target(3, "webpush", "b")
SENT = SendResult(Verdict.SENT, provider_message_id="m")
AGAIN = SendResult(Verdict.RETRY, error_code="http_503", retry_after_s=5.0)
LONGER = SendResult(Verdict.RETRY, error_code="http_429", retry_after_s=90.0)
DEAD = SendResult(Verdict.FAILED, error_code="unregistered", recipient_dead=True)
UNCERTAIN = SendResult(Verdict.UNCERTAIN, error_code="timeout")
WAITED = SendResult(Verdict.RETRY, error_code="not_started")


def push(number=1, targets=(PHONE, BROWSER), **more):
    return OutboundMessage(
        number, f"{number}.push", "push", "p", Content("a", "b"), targets=tuple(targets), **more
    )


async def test_each_device_is_called_by_its_provider_and_reported_once():
    calls, reported = [], []

    async def send(provider, parts, on_results):
        calls.append((provider, [(leg.message_id, leg.recipient) for leg in parts]))
        for leg in reversed(parts):
            on_results([leg], [SENT])

    await fan_out(
        [push(1), push(2, targets=[TABLET])],
        send=send,
        on_results=lambda sent, results: reported.extend(zip(sent, results, strict=True)),
    )

    assert calls == [("fcm", [(1, "p"), (2, "t")]), ("webpush", [(1, "b")])]
    assert sorted(message.message_id for message, _ in reported) == [1, 2]
    by_id = {message.message_id: result for message, result in reported}
    assert [part.target for part in by_id[1].parts] == [PHONE, BROWSER]


async def test_an_exception_of_one_call_is_raised_after_the_others_ended():
    reported = []

    async def send(provider, parts, on_results):
        if provider == "fcm":
            raise RuntimeError("broken")
        on_results(parts, [SENT] * len(parts))

    with pytest.raises(RuntimeError, match="broken"):
        await fan_out(
            [push(1), push(2, targets=[BROWSER])],
            send=send,
            on_results=lambda sent, _: reported.extend(sent),
        )

    assert [message.message_id for message in reported] == [2]


@pytest.mark.parametrize(
    ("_case", "results", "reached", "verdict", "code"),
    [
        ("all took it", [SENT, SENT], False, Verdict.SENT, ""),
        ("one took it, one is dead", [DEAD, SENT], False, Verdict.SENT, ""),
        ("one took it, one is uncertain", [SENT, UNCERTAIN], False, Verdict.SENT, ""),
        ("one took it, one may yet", [SENT, AGAIN], False, Verdict.RETRY, "http_503"),
        ("one took it, one was not called", [SENT, WAITED], False, "retry", "partly_not_started"),
        ("none was called", [WAITED, WAITED], False, Verdict.RETRY, "not_started"),
        ("one was called in vain", [WAITED, AGAIN], False, Verdict.RETRY, "http_503"),
        ("one may yet, one is uncertain", [AGAIN, UNCERTAIN], False, Verdict.UNCERTAIN, "timeout"),
        ("all are dead", [DEAD, DEAD], False, Verdict.FAILED, "unregistered"),
        ("one took it before, this one is dead", [DEAD], True, Verdict.SENT, ""),
        ("one took it before, this one may yet", [AGAIN], True, Verdict.RETRY, "http_503"),
        ("one took it before, this one is uncertain", [UNCERTAIN], True, Verdict.SENT, ""),
    ],
)
def test_the_parts_have_one_result(_case, results, reached, verdict, code):
    targets = (PHONE, BROWSER)[: len(results)]

    result = merged(push(targets=targets, reached=reached), zip(targets, results, strict=True))

    assert (result.verdict, result.error_code) == (verdict, code)
    assert [part.result for part in result.parts] == results
    assert result.recipient_dead is False


def test_the_longest_requested_wait_is_used():
    result = merged(push(), [(PHONE, AGAIN), (BROWSER, LONGER)])

    assert result.retry_after_s == 90.0


def test_the_id_of_the_device_that_accepted_it_is_stored():
    result = merged(push(), [(PHONE, AGAIN), (BROWSER, SENT)])

    assert result.provider_message_id == "m"
