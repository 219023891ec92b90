"""What threads request is sent by one thread: together, in order, and again after an error."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet

import pytest
from structlog.testing import capture_logs

from notifications.infra import ports
from notifications.infra.process import inbox_wakeups
from notifications.infra.process.publisher import Publisher

PATIENCE_S = 10.0
QUIET_S = 5.0


class Carrier:
    """Notes what it sends. It waits while it is held, and raises the given errors in turn."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.raised: list[Exception] = []
        self.closed = 0
        self.begun = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def send(self, texts: AbstractSet[str], /) -> None:
        self.begun.set()
        assert self.free.wait(PATIENCE_S)
        if self.raised:
            raise self.raised.pop(0)
        self.sent.append(list(texts))

    def close(self) -> None:
        self.closed += 1


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moved() -> Iterator[Clock]:
    made = Clock()
    with ports.installed(monotonic=made):
        yield made


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def heard() -> list[str]:
    return []


def encode(items: Collection[int]) -> AbstractSet[str]:
    return dict.fromkeys(str(item) for item in items).keys()


@pytest.fixture
def publisher(carrier: Carrier, heard: list[str]) -> Publisher[int]:
    return Publisher("test", encode, lambda: carrier, quiet_s=QUIET_S, tell=heard.extend)


def test_what_is_requested_meanwhile_goes_together_the_last_request_last(
    publisher: Publisher[int], carrier: Carrier
) -> None:
    carrier.free.clear()
    publisher.request([1])
    assert carrier.begun.wait(PATIENCE_S)
    publisher.request([2, 3])
    publisher.request([4])
    publisher.request([2])
    carrier.free.set()
    publisher.flush(PATIENCE_S)
    assert carrier.sent == [["1"], ["3", "4", "2"]]


def test_after_an_error_nothing_is_sent_for_a_while_and_this_process_hears_it(
    publisher: Publisher[int], carrier: Carrier, heard: list[str], moved: Clock
) -> None:
    carrier.raised = [OSError("away")]
    with capture_logs() as logged:
        for number in range(2):
            publisher.request([number])
            publisher.flush(PATIENCE_S)
    assert [(line["event"], line["source"], line["error"]) for line in logged] == [
        ("wakeup.failed", "test", "OSError")
    ]
    assert (carrier.sent, heard) == ([], ["0", "1"])
    moved.now += QUIET_S
    publisher.request([2])
    publisher.flush(PATIENCE_S)
    assert carrier.sent == [["2"]]


def test_the_connection_is_closed_after_what_was_requested(
    publisher: Publisher[int], carrier: Carrier
) -> None:
    publisher.disconnect(PATIENCE_S)
    assert carrier.closed == 0, "it has none yet"
    publisher.request([1])
    publisher.disconnect(PATIENCE_S)
    assert (carrier.sent, carrier.closed) == ([["1"]], 1)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_a_thread_of_its_own(
    publisher: Publisher[int], carrier: Carrier
) -> None:
    publisher.request([1])
    publisher.flush(PATIENCE_S)
    with publisher._making:  # as another thread of the parent may hold it
        child = os.fork()
        if child == 0:
            publisher.request([2])
            publisher.flush(PATIENCE_S)
            os._exit(0 if carrier.sent == [["1"], ["2"]] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert carrier.sent == [["1"]]


def test_people_are_one_payload_and_frames_keep_their_order() -> None:
    payloads = list(inbox_wakeups._payloads_of(["f{b}", 3, "f{a}", 1]))
    assert payloads == [inbox_wakeups.encode_people([1, 3]), "f{b}", "f{a}"]
    assert list(inbox_wakeups._payloads_of(["f{a}"])) == ["f{a}"]


def test_a_listener_that_fails_stops_no_other(heard: list[str]) -> None:
    def broken(_payload: str) -> None:
        raise RuntimeError("the loop is closed")

    for listener in (broken, heard.append):
        inbox_wakeups.add_listener(listener)
    try:
        with capture_logs() as logged:
            inbox_wakeups._tell_listeners(dict.fromkeys(["p1", "p2"]).keys())
    finally:
        for listener in (broken, heard.append):
            inbox_wakeups.remove_listener(listener)
    assert heard == ["p1", "p2"]
    assert [(line["event"], line["error"]) for line in logged] == [
        ("inbox.listener_failed", "RuntimeError")
    ] * 2
