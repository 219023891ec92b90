"""The generic callback, in the form of `delivery/callbacks/signed.py`."""

from __future__ import annotations

from typing import ClassVar

from notifications.delivery.callbacks.signed import SignedCallbacks


class GenericCallbacks(SignedCallbacks):
    """Reads callbacks of any system that signs with CARILLON_CALLBACK_SECRET."""

    key: ClassVar[str] = "generic"
