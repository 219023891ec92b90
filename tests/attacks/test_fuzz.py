"""Requests over the whole document by callers of every kind: no 5xx, and nothing undocumented.

A seeded sample here; `make proof` makes 100,000.
"""

from __future__ import annotations

import asyncio
import functools
import json
import random
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from directory.models import Group, User
from notifications.features.access.tokens.families import issue_tokens
from notifications.infra import clock
from notifications.models import SCOPES, ApiKey, Category, Notification, NotificationTemplate
from tests.attacks.conftest import person, quiet
from tests.attacks.generating import Generator, Made
from tests.conftest import PROOF
from tests.integration.api.conformity import document
from tests.integration.factories import make_messages

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.once,
    pytest.mark.usefixtures("template"),
    *([pytest.mark.proof] if PROOF else []),
]
IN_ALL = 100_000 if PROOF else 600
OF_A_WORLD = 500 if PROOF else 200
"""Requests that share one database. What they change, the next ones find."""
WORLDS = range(IN_ALL // OF_A_WORLD)
FEWEST_ACCEPTED = 10
"""In some worlds staff soon lose their rights or sign-ins: a request took them."""


@pytest.fixture
def callers(ada: User, staff: User, as_staff: APIClient) -> list[tuple[str, APIClient]]:
    """A client for each kind of caller."""
    as_staff.raise_request_exception = False
    refresh = issue_tokens(ada, now=clock.now()).refresh
    single = random.Random(1).choice(list(SCOPES))
    keys = {
        "*": ["*"],
        "none": [],
        "single": [single],
        "reading": [s for s in SCOPES if "read" in s],
    }
    found = [
        (f"a key: {name}", quiet(ApiKey.make(name=name, scopes=scopes)[1]))
        for name, scopes in keys.items()
    ]
    test_key = ApiKey.make(name="test", scopes=["*"], kind="test")[1]
    admin = APIClient(raise_request_exception=False)
    admin.credentials(**as_staff._credentials)
    return [
        ("staff", admin), ("staff again", admin), *found, ("a test key", quiet(test_key)),
        ("a person", person(ada)), ("a refresh token", quiet(refresh)),
        ("anonymous", APIClient(raise_request_exception=False)), ("nonsense", quiet("a.b.c")),
    ]  # fmt: skip


@pytest.fixture
def known(ada: User, bob: User) -> dict[str, list[Any]]:
    """Values that exist, by the name of the parameter or field that takes them."""
    (message,) = make_messages(1, user=ada, channel="email")
    group = Group.objects.create(name="Choir", kind="topic")
    template = NotificationTemplate.objects.get()
    key = ApiKey.make(name="spare", scopes=["users:read"])[0]
    people = [ada.pk, str(ada.uuid), bob.pk, "ext:ext-bob", 999_999]
    notification = Notification.objects.get(pk=message.notification_id)
    return {
        "id": [
            *people, str(notification.uuid), notification.pk, template.pk, template.path, key.pk,
            group.pk, Category.objects.all()[0].pk, "payment", "a.b", 1, 2, "1f",
        ],
        "job_id": [1, "01890a5d-ac96-774b-bcce-b302099a8057"],
        "provider": ["twilio", "smtp", "ses", "generic", "sandbox", "nothing"],
        "user_id": people,
        "user": people,
        "external_id": ["ext-ada", "ext-bob", "unknown"],
        "template_path": [template.path, "no.such"],
        "category": ["payment", "marketing", "nothing"],
        "channel": ["email", "in_app", "sms"],
        "channels": [["in_app"], ["email", "push"]],
        "context": [{"amount": 5}, {}],
        "scopes": [["users:read"], ["*"], []],
        "recipients": [[{"user_id": ada.pk}], [ada.pk], []],
    }  # fmt: skip


@functools.cache
def validator(place: str, kind: str) -> Draft202012Validator:
    """Returns what checks the bodies of a response of the document. place: a path of keys."""
    found: Any = document()
    for part in place.split("\n"):
        found = found[part]
    if "$ref" in found:
        found = document()["components"]["responses"][found["$ref"].rpartition("/")[2]]
    schema = {**found["content"][kind]["schema"], "components": document()["components"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def fault_of(made: Made, answer: Any) -> str:
    """Returns what is wrong with an answer; nothing for one that is as documented."""
    operation, status = made.operation, str(answer.status_code)
    if answer.status_code >= 500 and not is_unwell(made, answer):
        return f"status {status}"
    if made.is_elsewhere:
        return ""
    documented = operation.about["responses"].get(status)
    if documented is None:
        return f"status {status} is not documented"
    if "$ref" in documented:
        documented = document()["components"]["responses"][documented["$ref"].rpartition("/")[2]]
    kinds = documented.get("content")
    if not kinds:
        return "" if answer.content == b"" else "a body that is not documented"
    kind = answer["Content-Type"].partition(";")[0]
    if kind not in kinds:
        return f"{kind} is not documented"
    if answer.streaming or not kind.endswith("json"):
        return ""
    place = "\n".join(("paths", operation.path, operation.method.lower(), "responses", status))
    errors = validator(place, kind).iter_errors(json.loads(answer.content))
    return "; ".join(error.message[:200] for error in errors)


def is_unwell(made: Made, answer: Any) -> bool:
    """Whether a 503 is the truth: a service without workers, too many renders at once."""
    return answer.status_code == 503 and (
        made.operation.path.startswith("/health") or b"rendering_busy" in answer.content
    )


@pytest.fixture(autouse=True)
def _no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name leads anywhere: the tests of webhooks call nothing."""

    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


def asked(client: APIClient, made: Made) -> Any:
    return client.generic(
        made.operation.method, made.url, made.body, content_type=made.kind, headers=made.headers
    )


@pytest.mark.parametrize("world", WORLDS)
def test_no_request_is_a_5xx_or_gets_what_is_not_documented(
    world: int, callers: list[tuple[str, APIClient]], known: dict[str, list[Any]]
) -> None:
    generator = Generator(document(), known, seed=world)
    rng, faults, seen = random.Random(world), [], Counter[int]()
    # Half of the requests are of staff: hardly any other caller comes past the check of rights.
    draws = [name for name, _ in callers] + [callers[0][0]] * len(callers)
    names: Callable[[], str] = lambda: rng.choice(draws)  # noqa: E731 -- one draw a request
    clients = dict(callers)
    operations = generator.operations[:]
    for number in range(OF_A_WORLD):
        if number % len(operations) == 0:  # each call in turn, in another order each time
            rng.shuffle(operations)
        made, name = generator.request(operations[(number + world * 31) % len(operations)]), names()
        answer = asked(clients[name], made)
        seen[answer.status_code // 100] += 1
        if fault := fault_of(made, answer):
            faults.append((made.operation.name, name, fault, made.url[:300], made.body[:400]))
    assert faults == [], f"{len(faults)} faults; the first ones: {faults[:5]}"
    assert seen[2] >= FEWEST_ACCEPTED, f"hardly any request was accepted: {seen}"


def test_every_call_of_the_document_is_made(known: dict[str, list[Any]]) -> None:
    generator = Generator(document(), known, seed=0)
    paths = document()["paths"]
    assert {each.path for each in generator.operations} == set(paths)
    assert len(generator.operations) == sum(len(methods) for methods in paths.values())


def test_a_fault_is_found(
    callers: list[tuple[str, APIClient]], known: dict[str, list[Any]]
) -> None:
    generator = Generator(document(), known, seed=0)
    operation = next(each for each in generator.operations if each.path == "/api/v1/preferences")
    made = generator.request(operation)
    for status, body, kind in (
        (500, b"{}", "application/problem+json"),
        (418, b"{}", "application/json"),
        (200, b"{}", "text/html"),
        (200, b'{"odd": 1}', "application/json"),
    ):
        answer = type(
            "Answer", (dict,), {"status_code": status, "content": body, "streaming": False}
        )
        assert fault_of(made, answer({"Content-Type": kind})), (status, body)


def test_a_seed_makes_the_same_requests_again(known: dict[str, list[Any]]) -> None:
    def first(seed: int) -> list[tuple[str, bytes]]:
        generator = Generator(document(), known, seed=seed)
        made = [generator.request(each) for each in generator.operations[:60]]
        return [(each.url, each.body) for each in made]

    assert first(3) == first(3)
    assert first(3) != first(4)
