"""The calls of docs/howto/first_calls.md and docs/status-webhooks.md, run as they are written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.integration.broadcasts.test_api_page import calls_of

pytestmark = pytest.mark.django_db
DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "howto" / "first_calls.md"


def test_every_example_of_the_page_works_with_the_scopes_that_it_names(with_key):
    scopes = re.findall(r'--scopes "([^"]+)"', PAGE.read_text(encoding="utf-8"))[0].split(",")
    client = with_key(*scopes)
    known: dict[str, str] = {}
    calls = calls_of(PAGE, url="")
    for method, path, body in calls:
        for name, value in known.items():
            path = path.replace(f"${name}", value)
        sent = "" if body is None else json.dumps(body)
        answer = client.generic(method, path, sent, content_type="application/json")
        assert answer.status_code in (200, 201, 202), f"{method} {path}: {answer.content!r}"
        names = {"/templates": "TEMPLATE", "/send": "ID", "/bulk": "JOB"}
        for end, name in names.items():
            if method == "POST" and path.endswith(end):
                made = answer.json()
                known[name] = str(made.get("job_id") or made["id"])
        if path.endswith("/bulk"):
            assert (made["accepted"], made["rejected"]) == (2, [])
        if path.endswith("/preview"):
            shown = [each["error"] for each in answer.json()["previews"]]
            assert shown == [None] * 4
    assert len(calls) == 18


def test_the_example_of_status_webhooks_works(with_key):
    ((method, path, body),) = calls_of(DOCS / "status-webhooks.md", url="")
    answer = with_key("webhooks:write").generic(
        method, path, json.dumps(body), content_type="application/json"
    )
    assert answer.json()["secret"].startswith("whsec_")
