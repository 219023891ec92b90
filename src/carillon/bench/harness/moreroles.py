"""More child processes of benchmarks: an API key, renders, critical sends, a sampler."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from django.db.models import Count, Max, Min, Sum
from jinja2 import DictLoader, Environment

from carillon.bench.harness import content
from directory.models import ContactPoint, Device, User
from notifications.domain.callers import SYSTEM
from notifications.features.sending.service import NotificationService
from notifications.infra import clock
from notifications.infra.http.client import HttpClient
from notifications.models import ApiKey, DeliveryBatch, NotificationMessage
from notifications.rendering.render import CompiledVersion, compile_version

_GAP_S = 0.05
_AT_ONCE = 100


def api_key() -> dict[str, Any]:
    """Creates a key that may send to any user."""
    return {"key": ApiKey.make(name="bench", scopes=["*"])[1]}


def devices() -> dict[str, Any]:
    """Gives every user a phone."""
    users = list(User.objects.values_list("pk", flat=True))
    made = [Device(user_id=key, kind="fcm", token=f"{key:08d}" + "t" * 144) for key in users]
    Device.objects.bulk_create(made, batch_size=1000)
    return {"devices": len(made)}


_LOOKUPS = 500


def lookups(people: str) -> dict[str, Any]:
    """Finds random imported people by email, one after another; the times in ms."""
    chance = random.Random(1)
    times = []
    for number in chance.choices(range(int(people)), k=_LOOKUPS):
        began = time.perf_counter()
        found = User.objects.get(email=f"person{number}@example.org")
        found.email  # noqa: B018 -- it is unsealed when it is first read
        times.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(times, n=100)
    return {"lookup_p50_ms": round(cuts[49], 2), "lookup_p99_ms": round(cuts[98], 2)}


_PUSH = json.dumps(
    {
        "message": {
            "token": "t" * 152,
            "notification": {"title": "Payment received", "body": "Hello Name, " * 5},
            "data": {"reference": "0190.push"},
            "android": {"priority": "normal"},
        }
    }
).encode()
_PUSH_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer t"}


def bare_http(url: str, count: str) -> dict[str, Any]:
    """POSTs the same push request `count` times, 100 at a time: the cost of HTTP itself."""
    return {"s": asyncio.run(_post_all(url, int(count)))}


async def _post_all(url: str, count: int) -> float:
    connector = aiohttp.TCPConnector(limit=_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as client:

        async def post() -> bytes:
            async with client.post(url, data=_PUSH, headers=_PUSH_HEADERS) as response:
                return await response.read()

        return await _again_and_again(post, count)


def own_http(url: str, count: str) -> dict[str, Any]:
    """Does the same with the client that providers use."""
    return {"s": asyncio.run(_post_all_ourselves(url, int(count)))}


async def _post_all_ourselves(url: str, count: int) -> float:
    client = HttpClient(timeout_s=30, connections=_AT_ONCE)

    async def post() -> bytes:
        return (await client.request("POST", url, headers=_PUSH_HEADERS, body=_PUSH)).body

    try:
        return await _again_and_again(post, count)
    finally:
        await client.close()


async def _again_and_again(post: Callable[[], Awaitable[bytes]], count: int) -> float:
    numbers = iter(range(count))

    async def some() -> None:
        for _ in numbers:
            json.loads(await post())

    began = time.monotonic()
    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    return time.monotonic() - began


def recipients() -> dict[str, Any]:
    """Returns the user of each message, by message id."""
    rows = NotificationMessage.objects.values_list("pk", "user_id")
    return {str(key): user_id for key, user_id in rows}


def chats(count: str) -> dict[str, Any]:
    """Gives some users a Telegram chat."""
    users = list(User.objects.order_by("pk").values_list("pk", flat=True)[: int(count)])
    made = [ContactPoint(user_id=key, kind="telegram", address=str(10**8 + key)) for key in users]
    ContactPoint.objects.bulk_create(made)
    return {"chats": len(made)}


def span(channel: str, count: str) -> dict[str, Any]:
    """Returns the seconds from the first to the last delivery of a channel's latest messages."""
    latest = NotificationMessage.objects.filter(channel=channel).order_by("-pk")[: int(count)]
    ends = latest.aggregate(first=Min("delivered_at"), last=Max("delivered_at"))
    return {"s": (ends["last"] - ends["first"]).total_seconds()}


def statuses(channel: str) -> dict[str, Any]:
    """Counts the messages of a channel by status."""
    rows = NotificationMessage.objects.filter(channel=channel).values_list("status")
    return dict(rows.annotate(count=Count("id")))


def critical(count: str) -> dict[str, Any]:
    """Sends critical messages one by one and measures how long each waited to be delivered."""
    users = list(User.objects.values_list("pk", flat=True)[:100])
    sent = []
    for number in range(int(count)):
        body = {
            "template_path": "bench.payment",
            "user_id": users[number % len(users)],
            "channel": "in_app",
            "priority": "critical",
            "context": {"amount": 1},
        }
        sent.append(NotificationService().send(body=body, caller=SYSTEM).id)
        time.sleep(_GAP_S)
    left = DeliveryBatch.objects.filter(lane="bulk").aggregate(Sum("size"))["size__sum"] or 0
    deadline = time.monotonic() + 60
    rows = NotificationMessage.objects.filter(priority=1, pk__gt=0)
    while rows.filter(delivered_at__isnull=False).count() < len(sent):
        if time.monotonic() > deadline:
            raise TimeoutError("critical messages are not delivered")
        time.sleep(0.1)
    waits = [
        (delivered - made).total_seconds() if delivered else 0.0
        for delivered, made in rows.values_list("delivered_at", "notification__created_at")
    ]
    cuts = statistics.quantiles(waits, n=100)
    return {
        "critical_p50_s": round(cuts[49], 4),
        "critical_p99_s": round(cuts[98], 4),
        "critical_max_s": round(max(waits), 4),
        "bulk_left": left,
    }


def sample(seconds: str) -> dict[str, Any]:
    """Measures messages a second that leave the queue, from the first one."""
    full = _queued()
    print(json.dumps({"queued": full}), flush=True)
    while _queued() == full:
        time.sleep(0.01)
    began, start = time.monotonic(), _queued()
    left = start
    while left and time.monotonic() - began < float(seconds):
        time.sleep(0.01)
        left = _queued()
    return {"per_s": round((start - left) / (time.monotonic() - began))}


def _queued() -> int:
    return DeliveryBatch.objects.aggregate(Sum("size"))["size__sum"] or 0


def render(count: str) -> dict[str, Any]:
    """Renders as the pipeline does, and renders the same mail and layout by plain Jinja2."""
    began = time.perf_counter()
    version = _bench_version()
    version.precompile()
    compile_ms = (time.perf_counter() - began) * 1000
    items = [{"name": f"Course {n}", "price": 10 + n} for n in range(5)]
    context = {
        "user": {"first_name": "Ada", "timezone": "Europe/Paris"},
        "current_time": clock.now(),
        "app_name": "Bench",
        "app_url": "http://127.0.0.1",
        "amount": 29.99,
        "items": items,
    }
    size = len(version.render(channel="email", locale="en", context=context).html)
    figures: dict[str, Any] = {"compile_ms": round(compile_ms, 1), "html_bytes": size}
    for channel in ("in_app", "email"):
        cuts, rate = _timed(
            lambda channel=channel: version.render(channel=channel, locale="en", context=context),
            int(count),
        )
        name = "" if channel == "email" else "in_app_"
        figures |= {
            f"{name}p50_ms": cuts[0],
            f"{name}p99_ms": cuts[1],
            f"{name}per_s": rate,
        }
    plain = Environment(autoescape=True, loader=DictLoader({"layouts.bench": content.LAYOUT}))
    plain.filters["currency"] = lambda value: f"${value:,.2f}"
    parts = [plain.from_string(t) for t in (content.SUBJECT, content.TEXT, content.MAIL)]
    cuts, rate = _timed(lambda: [part.render(context) for part in parts], int(count))
    return {
        **figures,
        "baseline_p50_ms": cuts[0],
        "baseline_p99_ms": cuts[1],
        "baseline_per_s": rate,
    }


def _bench_version() -> CompiledVersion:
    layout = compile_version(
        version_id=1,
        path="layouts.bench",
        content={"en": {"email_html_template": content.LAYOUT}},
        required_variables=[],
        supported_channels=[],
        default_locale="en",
    )
    return compile_version(
        version_id=2,
        path="bench.render",
        content={
            "en": {
                "in_app_template": content.IN_APP,
                "email_subject_template": content.SUBJECT,
                "email_body_template": content.TEXT,
                "email_html_template": content.MAIL,
            }
        },
        required_variables=["amount"],
        supported_channels=["in_app", "email"],
        default_locale="en",
        parts={"layouts.bench": layout},
    )


def _timed(call: Any, count: int) -> tuple[tuple[float, float], int]:
    call()
    spent = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        spent.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(spent, n=100)
    return (round(cuts[49], 4), round(cuts[98], 4)), round(1000 * count / sum(spent))
