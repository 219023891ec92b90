"""Requests of any kind that the document allows, and of many that it does not: seeded samples here,
the long form under `make proof`. No answer is a fault of ours or undocumented, nothing that the
document forbids is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from rest_framework.test import APIClient
from schemathesis.generation import GenerationMode

from directory.models import User
from notifications.api.openapi import openapi_document
from tests.conftest import PROOF
from tests.integration.api.conformity import check_answer

pytestmark = [
    pytest.mark.strict,
    pytest.mark.django_db,
    pytest.mark.usefixtures("template"),
    *([pytest.mark.proof] if PROOF else []),
]


def _operations() -> dict[str, Any]:
    """What the document knows, by method and path. Who may ask is tried elsewhere."""
    document = openapi_document()
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    found = schemathesis.openapi.from_dict(document).get_all_operations()
    return {each.ok().label: each.ok() for each in found}


OPERATIONS = _operations()
HOST = "http://testserver"
UNHURRIED = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def answer_to(client: APIClient, case: Any) -> tuple[Any, bool]:
    """The answer to a case, in this process; and whether all of it was sent, and more than a path:
    a list of nothing is no parameter of a URL."""
    given = case.as_transport_kwargs(base_url=HOST)
    sent = requests.Request(
        **{name: given.get(name) for name in ("method", "url", "params", "json", "data")}
    ).prepare()
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
    headers = {name: text for name, text in (case.headers or {}).items() if name != "Content-Type"}
    answer = client.generic(
        case.method.upper(),
        str(sent.url).removeprefix(HOST),
        body,
        content_type=sent.headers.get("Content-Type", "application/json"),
        headers=headers,
    )
    lost = any(value in ([], {}, None) for value in (case.query or {}).values())
    return answer, not lost and bool(body or headers or "?" in str(sent.url))


@pytest.fixture
def anybody(staff: User) -> APIClient:
    """Staff, whose answers are judged here."""
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(staff)
    return client


def is_unwell(case: Any, answer: Any) -> bool:
    """Whether a 503 is the truth: the health of a service without workers, too many renders."""
    return answer.status_code == 503 and (
        case.path.startswith("/health") or b"rendering_busy" in answer.content
    )


def is_refused(answer: Any) -> bool:
    """Whether the fault was reported: as a 4xx, or beside what was accepted."""
    if answer.status_code >= 400:
        return True
    said = json.loads(answer.content or b"{}")
    return bool(said.get("rejected") or said.get("errors")) or said.get("valid") is False


def examples(operation: Any) -> int:
    """Bodies can be wrong in most ways. Some 2,000 in all."""
    return 400 if PROOF else 14 if operation.body else 4


CASES = [
    pytest.param(label, mode, id=f"{mode.value}-{label}")
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.body or operation.query
]


@pytest.mark.parametrize(("label", "mode"), CASES)
def test_no_request_is_a_fault_of_ours(
    label: str, mode: GenerationMode, anybody: APIClient
) -> None:
    operation = OPERATIONS[label]

    @settings(UNHURRIED, max_examples=examples(operation))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer, is_more = answer_to(anybody, case)
        text = b"" if answer.streaming else answer.content[:400]
        shown = (answer.status_code, text, case.query, case.headers, case.body)
        assert answer.status_code < 500 or is_unwell(case, answer), shown
        check_answer(case.method, case.formatted_path, answer)
        if mode is GenerationMode.NEGATIVE and is_more:
            assert is_refused(answer) or is_unwell(case, answer), shown

    ask()
