"""Lists, people on them and broadcasts to them, made in one line each."""

from __future__ import annotations

import itertools
import re
from typing import Any

from directory.models import ListMembership, SubscriberList, User
from notifications.domain.callers import SYSTEM, Caller
from notifications.features.broadcasts.delivery import launch as launching
from notifications.features.lists.joining import Joining, JoinResult, join
from notifications.infra import clock
from notifications.models import Broadcast, SandboxMessage
from tests.integration.factories import make_willing_user

HOME = "https://notify.example.com"
WORDING = "Send me the news."
KEY = Caller(
    name="key:1",
    is_service=True,
    scopes=frozenset({"users:read", "lists:write", "preferences:write"}),
)
_numbers = itertools.count(1)


def make_list(**values: Any) -> SubscriberList:
    number = next(_numbers)
    values.setdefault("name", f"News {number}")
    values.setdefault("slug", f"news-{number}")
    values.setdefault("category", "announcement")
    values.setdefault("double_opt_in", False)
    return SubscriberList.objects.create(**values)


def put_on(found: SubscriberList, *people: User, **values: Any) -> dict[int, JoinResult]:
    values = {"caller": SYSTEM, "source": "api", "wording": WORDING, **values}
    return join(found, [user.pk for user in people], Joining(**values))


def make_subscriber(found: SubscriberList, **values: Any) -> User:
    user = make_willing_user(**values)
    assert put_on(found, user)[user.pk] is JoinResult.SUBSCRIBED
    return user


def status_of(found: SubscriberList, user: User) -> str:
    row = ListMembership.objects.filter(list=found, user=user).first()
    return row.state if row else ""


def write_to(found: SubscriberList, **values: Any) -> Broadcast:
    """Makes a draft to a list."""
    values = {
        "target_group": "list",
        "target_filter": {"list_id": found.pk},
        "title": "May",
        "message": "What is new in May",
        "channels": ["email"],
        "priority": 3,
        **values,
    }
    made = Broadcast(**values)
    launching.set_list(made, launching.resolve_audience(made, now=clock.now()))
    made.save()
    return made


def send_to(found: SubscriberList, **values: Any) -> Broadcast:
    """Launches a broadcast to a list; nothing is delivered yet."""
    made = write_to(found, **values)
    launching.begin(made.pk, now=clock.now())
    assert launching.continue_launch(made.pk)
    made.refresh_from_db()
    return made


def link_in_newest_mail(page: str) -> str:
    """Returns the path of the link to a page (`confirm`, `unsubscribe`) in the newest mail."""
    mail = SandboxMessage.objects.order_by("-pk").first()
    assert mail is not None
    found = re.search(rf"https?://[^/\s]+(/{page}/\S+)", mail.content["body"])
    assert found is not None, mail.content["body"]
    return found.group(1)
