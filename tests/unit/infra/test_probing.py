"""Questions that may hang, asked by one thread at a time."""

from __future__ import annotations

import threading

from notifications.infra.process.probing import Probe


def test_an_answer_that_comes_after_it_was_forgotten_is_nobodys() -> None:
    begun, end = threading.Event(), threading.Event()
    faults = iter([RuntimeError("of another time"), None])

    def question() -> None:
        begun.set()
        end.wait(10)
        fault = next(faults)
        if fault is not None:
            raise fault

    probe = Probe("test", question)
    assert probe.check(within_s=0.0) is None
    assert begun.wait(10)
    waits_on = probe._running
    assert waits_on is not None

    probe.forget()
    end.set()
    assert waits_on.wait(10)

    found = probe.check(within_s=10, fresh_s=60, retry_s=60)
    assert found is not None
    assert found.error is None
