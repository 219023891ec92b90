"""The simulator's own receipts, which are written with the record of its messages."""

from __future__ import annotations

from typing import ClassVar

from notifications.delivery.callbacks.base import CallbackRefused, IncomingCall
from notifications.delivery.callbacks.signed import SignedCallbacks


class SimulatorCallbacks(SignedCallbacks):
    """Reads the generic form. Every call is refused: simulated receipts arrive by no route."""

    key: ClassVar[str] = "simulator"

    def check(self, call: IncomingCall) -> None:
        raise CallbackRefused("the simulator does not call")
