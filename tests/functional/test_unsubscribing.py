"""The links of a mail on a running server: a scanner opens all, a mail program clicks once."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.functional.installation import Installation, free_port, wait_until
from tests.functional.test_browser import _ready

pytestmark = pytest.mark.processes
HOME = "https://notify.example.com"
STATE = """
import json, msgspec
from directory.models import User
from notifications.models import ConsentRecord, SandboxMessage
from notifications.features.preferences.service import preferences_of
user = User.objects.get(username="student1")
ledger = list(ConsentRecord.objects.filter(source="one_click").values_list("purpose", "ip"))
preferences = msgspec.to_builtins(preferences_of(user.pk))
mails = [row.content for row in SandboxMessage.objects.filter(channel="email")]
print(json.dumps({"preferences": preferences, "ledger": ledger, "mails": mails}))
"""
BOUNDARY = "----mail-program"
MULTIPART = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
    f"One-Click\r\n--{BOUNDARY}--\r\n"
)


def state(place: Installation) -> Any:
    return json.loads(place.python(STATE))


def fetch(url: str, *, method: str, body: bytes | None = None, kind: str = "") -> tuple[int, str]:
    """Returns status and Set-Cookie. Sends neither cookies nor a Referer."""
    request = urllib.request.Request(url, data=body, method=method)
    if kind:
        request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.status, response.headers.get("Set-Cookie", "")


def test_scanners_change_nothing_and_one_click_unsubscribes_once(tmp_path):
    place = Installation(tmp_path, public_url=HOME)
    place.prepare(demo=True)
    port = free_port()
    here = f"http://127.0.0.1:{port}"
    with place.running("serve", "--port", str(port)):
        wait_until(lambda: _ready(f"{here}/health/ready"))
        sent = place.carillon(
            "send", "user.lesson.reminder", "--to", "student1", "--channel", "email",
            "--context", "course=Algebra",
            "--context", "starts_at=2030-05-01T12:00:00Z",
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        wait_until(lambda: place.statuses().get("sent") == 1)
        before = state(place)
        (mail,) = before["mails"]
        header = mail["headers"]["List-Unsubscribe"].strip("<>")
        assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        shown = re.findall(rf"{HOME}/[^\s\"<>]+", mail["body"] + mail["html"] + header)
        links = {link.replace(HOME, here) for link in shown}
        assert {link.split("/")[3] for link in links} == {"unsubscribe", "preferences"}

        for link in links:
            for method in ("GET", "HEAD"):
                assert fetch(link, method=method) == (200, "")
        assert state(place) == before

        target = header.replace(HOME, here)
        form = "application/x-www-form-urlencoded"
        first = fetch(target, method="POST", body=b"List-Unsubscribe=One-Click", kind=form)
        again = fetch(
            target,
            method="POST",
            body=MULTIPART.encode(),
            kind=f"multipart/form-data; boundary={BOUNDARY}",
        )
        after = state(place)

    assert (first, again) == ((200, ""), (200, ""))
    assert after["ledger"] == [["category:course", "127.0.0.1"]]
    assert after["preferences"]["categories"]["course"]["email_enabled"] is False
    assert after["preferences"]["global"] == before["preferences"]["global"]
