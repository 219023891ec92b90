"""Runs the receiver's code of docs/status-webhooks.md as it is written."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from notifications.delivery.protocols.standard_webhooks import signature_headers, signing_key
from tests.docs.codes import ROOT

OLD, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_bmV3IHNlY3JldCBvZiAyNCBieXRlcyEh"
BODY = b'{"type": "message.sent"}'


@pytest.fixture
def page() -> dict[str, Any]:
    text = (ROOT / "docs/status-webhooks.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(block, names)  # a page of ours
    return names


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_a_post_is_genuine_by_the_old_and_the_new_secret(page: dict[str, Any], secret: str) -> None:
    keys = [signing_key(each) for each in (NEW, OLD)]
    headers = signature_headers(keys, "evt_1", int(time.time()), BODY)
    assert page["is_genuine"](secret, headers, BODY)
    assert not page["is_genuine"](secret, headers, BODY + b" ")
    assert not page["is_genuine"](secret, headers | {"webhook-id": "evt_2"}, BODY)


def test_an_old_post_is_not_genuine(page: dict[str, Any]) -> None:
    headers = signature_headers([signing_key(NEW)], "evt_1", 1_577_836_800, BODY)
    assert not page["is_genuine"](NEW, headers, BODY)
