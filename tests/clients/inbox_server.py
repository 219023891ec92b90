"""A server that speaks the inbox protocol for one person, for tests of the web component.

It holds everything in memory. A test makes events, cuts connections and refuses transports.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from notifications.testing.loopback import close_server, run_loop_in_thread, settle

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "src/notifications/static/carillon/inbox.js"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self'; base-uri 'none'; require-trusted-types-for 'script'"
)
SNAPSHOT = 50
SWITCHES = ("push", "email", "sms", "websocket", "telegram", "in_app")
CATEGORIES = ("security", "payment", "course", "announcement", "marketing", "system")
Event = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_token(user: str = "ada", *, lasts: float = 3600, mark: str = "") -> str:
    """Returns a text with the form of a JWT. lasts: seconds."""
    claims = {"user_id": user, "exp": int(time.time() + lasts), "mark": mark}
    parts = [{"alg": "none"}, claims]
    texts = [base64.urlsafe_b64encode(json.dumps(each).encode()) for each in parts]
    return ".".join(text.decode().rstrip("=") for text in texts) + ".signature"


def now_text(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat().replace("+00:00", "Z")


class Inbox:
    """One person's arrivals and events. Every method runs on the server's loop."""

    def __init__(self) -> None:
        self.epoch, self.seq = "k3x9", 0
        self.items: dict[str, dict[str, Any]] = {}
        self.events: list[Event] = []
        self.overall: dict[str, Any] = {
            "notifications_enabled": True,
            "marketing_enabled": False,
            "quiet_hours_enabled": True,
            "quiet_hours_start": "22:00:00",
            "quiet_hours_end": "08:00:00",
            "dnd_until": None,
            "digest_frequency": "immediate",
            **{f"{name}_enabled": name != "sms" for name in SWITCHES},
        }
        self.categories: dict[str, dict[str, bool]] = {}

    def next(self) -> int:
        self.seq += 1
        return self.seq

    def unread(self) -> int:
        return sum(is_unread(item) for item in self.items.values())

    def count(self) -> Event:
        return {
            "type": "unread",
            "data": {"count": self.unread(), "epoch": self.epoch, "seq": self.seq},
        }

    def arrive(self, title: str, **values: Any) -> Event:
        item = {
            "id": str(uuid.uuid4()),
            "title": title,
            "body": "",
            "data": {},
            "category": "course",
            "type": "system",
            "priority": 3,
            "created_at": now_text(),
            "seq": self.next(),
            **dict.fromkeys(("read_at", "archived_at", "snoozed_until", "seen_at")),
            **values,
        }
        self.items[item["id"]] = item
        return self._log("notification", dict(item))

    def change(self, kind: str, ids: list[str] | None = None, **more: Any) -> Event:
        data = {"seq": self.next(), "kind": kind, **more}
        if ids is not None:
            data["ids"] = ids
        if kind == "read_all":
            ids = [
                each
                for each, item in self.items.items()
                if is_unread(item) and item["seq"] <= more["up_to"]
            ]
        for each in ids or []:
            self._apply(each, kind, more.get("fields") or {})
        return self._log("change", data)

    def _apply(self, number: str, kind: str, fields: dict[str, Any]) -> None:
        item = self.items[number]
        if kind in ("read", "read_all"):
            item["read_at"] = item["read_at"] or fields.get("at") or now_text()
        elif kind == "unread":
            item["read_at"] = None
        elif kind == "archived":
            item.update(archived_at=fields["at"], snoozed_until=None)
        elif kind == "unarchived":
            item["archived_at"] = None
        elif kind == "snoozed":
            item.update(snoozed_until=fields["until"], archived_at=None)
        elif kind == "returned":
            item.update(snoozed_until=None, read_at=None)
        elif kind == "retracted":
            del self.items[number]
        elif kind == "amended":
            item.update(fields)

    def _log(self, kind: str, data: dict[str, Any]) -> Event:
        event = {"type": kind, "data": data}
        self.events.append(event)
        return event

    def since(self, after: str | None) -> list[Event]:
        """Returns what a connection begins with."""
        epoch, _, seq = (after or "").rpartition(".")
        if after and epoch == self.epoch and int(seq) <= self.seq:
            return [*self.missed(int(seq)), self.count()]
        unread = sorted((i for i in self.items.values() if is_unread(i)), key=lambda i: i["seq"])
        shown = [{"type": "notification", "data": dict(item)} for item in unread[-SNAPSHOT:]]
        position = {"epoch": self.epoch, "seq": self.seq}
        first = [{"type": "resync", "data": position}] if after else []
        return [*first, *shown, self.count()]

    def missed(self, seq: int) -> list[Event]:
        """Returns the events after a position; arrivals are shown as they are now."""
        found = [event for event in self.events if event["data"]["seq"] > seq]
        return [
            {**event, "data": dict(self.items.get(event["data"].get("id"), event["data"]))}
            for event in found
        ]

    def page(self, status: str, cursor: str | None, size: int) -> dict[str, Any]:
        found = [i for i in self.items.values() if belongs(i, status)]
        found.sort(key=lambda item: -item["seq"])
        if cursor:
            found = [item for item in found if item["seq"] < int(cursor)]
        shown = found[:size]
        last = shown[-1]["seq"] if shown else 0
        more = f"http://testserver/api/v1/inbox?cursor={last}&limit={size}"
        return {
            "results": shown,
            "next": more if len(found) > size else None,
            "previous": None,
            **self.position(),
        }

    def position(self) -> dict[str, Any]:
        return {"unread": self.unread(), "epoch": self.epoch, "seq": self.seq}


def is_unread(item: dict[str, Any]) -> bool:
    return not (item["read_at"] or item["archived_at"] or item["snoozed_until"])


def belongs(item: dict[str, Any], status: str) -> bool:
    archived, snoozed = bool(item["archived_at"]), bool(item["snoozed_until"])
    if status == "archived":
        return archived
    if status == "snoozed":
        return snoozed and not archived
    is_out = not archived and not snoozed
    return (
        is_out and {"": True, "unread": not item["read_at"], "read": bool(item["read_at"])}[status]
    )


class InboxServer:
    """The protocol on a port of loopback. Methods may be called from the test's thread."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.tokens: set[str] = set()
        self.refused: set[str] = set()
        """Of ws, stream, events, actions, inbox: what is answered 503."""
        self.requests: Counter[str] = Counter()
        self.received: list[Event] = []
        self.protocols: list[str] = []
        self.delay = 0.0
        """Seconds by which each action is answered late."""
        self.pages: dict[str, str] = {}
        self._sockets: set[web.WebSocketResponse] = set()
        self._queues: set[asyncio.Queue[list[Event] | None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self.home = ""

    @contextmanager
    def running(self) -> Iterator[InboxServer]:
        with run_loop_in_thread(self._serving(), "InboxServer"):
            yield self

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(self._app(), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self.home = f"http://127.0.0.1:{port}"
        yield
        await close_server(site._server)  # type: ignore[arg-type]
        await self._cut()
        await runner.cleanup()
        await settle()

    def _do(self, work: Callable[[], Any]) -> Any:
        async def run() -> Any:
            found = work()
            return await found if asyncio.iscoroutine(found) else found

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(20)

    def arrive(self, title: str, **values: Any) -> str:
        """Makes an arrival; returns its id."""
        number: str = self._do(lambda: self._tell(self.inbox.arrive(title, **values)))
        return number

    def change(self, kind: str, ids: list[str] | None = None, **more: Any) -> None:
        self._do(lambda: self._tell(self.inbox.change(kind, ids, **more)))

    def fill(self, work: Callable[[Inbox], None]) -> None:
        """Changes what is stored, without an event to any connection."""
        self._do(lambda: work(self.inbox))

    def restore(self) -> None:
        """Restores the database: a new epoch, and positions begin anew."""

        def work() -> Any:
            self.inbox.epoch = f"e{uuid.uuid4().hex[:6]}"
            self.inbox.events.clear()
            return self._cut()

        self._do(work)

    def cut(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        """Ends all connections."""
        self._do(lambda: self._cut(code))

    def push(self, event: Event) -> None:
        """Sends a frame that is no event."""
        self._do(lambda: self._push([event]))

    @property
    def sockets(self) -> int:
        return len(self._sockets)

    def frames(self, kind: str) -> list[Any]:
        """Returns the data of the frames of a kind that were received."""
        return [frame["data"] for frame in self.received if frame["type"] == kind]

    def requests_of(self, *actions: str) -> int:
        """Counts the requests of actions on one notification."""
        return sum(
            count for path, count in self.requests.items() if path.rsplit("/", 1)[-1] in actions
        )

    async def _cut(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        for queue in self._queues:
            queue.put_nowait(None)
        for socket in list(self._sockets):
            await socket.close(code=code)

    async def _push(self, events: list[Event]) -> None:
        for queue in self._queues:
            queue.put_nowait(events)

    async def _tell(self, event: Event) -> Any:
        await self._push([event, self.inbox.count()])
        return event["data"].get("id")

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        api = "/api/v1"
        app.add_routes(
            [
                web.get("/ws/notifications/", self._ws),
                web.get(f"{api}/inbox", self._list),
                web.get(f"{api}/inbox/unread", self._unread),
                web.get(f"{api}/inbox/stream", self._stream),
                web.get(f"{api}/inbox/events", self._events),
                web.post(f"{api}/inbox/read-all", self._read_all),
                web.post(f"{api}/inbox/bulk", self._bulk),
                web.post(f"{api}/inbox/seen", self._seen),
                web.post(f"{api}/inbox/{{id}}/{{action}}", self._action),
                web.get(f"{api}/preferences", self._preferences),
                web.put(f"{api}/preferences", self._change_preferences),
                web.get(f"{api}/categories", self._categories),
                web.get("/static/carillon/inbox.js", self._script),
                web.get("/{name:.*}", self._page),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if not path.startswith("/api/"):
            return await handler(request)
        self.requests[f"{request.method} {path.removeprefix('/api/v1')}"] += 1
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            return web.json_response({"code": "invalid_token"}, status=401)
        word = path.rsplit("/", 1)[-1]
        is_action = request.method != "GET"
        if word in self.refused or (is_action and "actions" in self.refused):
            return web.json_response({"code": "unavailable"}, status=503)
        if is_action and self.delay:
            await asyncio.sleep(self.delay)
        return await handler(request)

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        self.requests["WS"] += 1
        if "ws" in self.refused:
            raise web.HTTPServiceUnavailable
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        self.protocols.append(offered)
        token = offered.partition("bearer.")[2].strip()
        socket = web.WebSocketResponse(protocols=["carillon.v1"], heartbeat=25)
        await socket.prepare(request)
        if token not in self.tokens:
            await socket.close(code=4401)
            return socket
        queue: asyncio.Queue[list[Event] | None] = asyncio.Queue()
        queue.put_nowait(self.inbox.since(request.query.get("after")))
        self._queues.add(queue)
        self._sockets.add(socket)
        sender = asyncio.ensure_future(self._send_all(socket, queue))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    frame = json.loads(message.data)
                    self.received.append(frame)
                    if frame["type"] == "ping":
                        queue.put_nowait([{"type": "pong", "data": {}}])
        finally:
            self._queues.discard(queue)
            self._sockets.discard(socket)
            sender.cancel()
        return socket

    @staticmethod
    async def _send_all(
        socket: web.WebSocketResponse, queue: asyncio.Queue[list[Event] | None]
    ) -> None:
        while (events := await queue.get()) is not None:
            for event in events:
                await socket.send_json(event)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[list[Event] | None] = asyncio.Queue()
        queue.put_nowait(self.inbox.since(request.headers.get("Last-Event-ID")))
        self._queues.add(queue)
        try:
            while (events := await queue.get()) is not None:
                for event in events:
                    at = f"{self.inbox.epoch}.{event['data'].get('seq', self.inbox.seq)}"
                    text = (
                        f"id: {at}\nevent: {event['type']}\ndata: {json.dumps(event['data'])}\n\n"
                    )
                    await response.write(text.encode())
        except ConnectionError:
            pass
        finally:
            self._queues.discard(queue)
        return response

    async def _events(self, request: web.Request) -> web.Response:
        epoch, _, seq = request.query["after"].rpartition(".")
        position = {"epoch": self.inbox.epoch, "seq": self.inbox.seq}
        if epoch != self.inbox.epoch or int(seq) > self.inbox.seq:
            return web.json_response({"resync": True, **position})
        if self.inbox.seq <= int(seq):
            queue: asyncio.Queue[list[Event] | None] = asyncio.Queue()
            self._queues.add(queue)
            with suppress(TimeoutError):
                await asyncio.wait_for(queue.get(), float(request.query.get("wait", 0)))
            self._queues.discard(queue)
        missed = self.inbox.missed(int(seq))
        return web.json_response({"events": missed, **self.inbox.position()})

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        found = self.inbox.page(
            query.get("status", ""), query.get("cursor"), int(query.get("limit", 30))
        )
        return web.json_response(found)

    async def _unread(self, _request: web.Request) -> web.Response:
        return web.json_response(self.inbox.position())

    async def _action(self, request: web.Request) -> web.Response:
        number, action = request.match_info["id"], request.match_info["action"]
        if number not in self.inbox.items:
            return web.json_response({"code": "unknown_notification"}, status=404)
        kinds = {
            "read": "read", "unread": "unread", "archive": "archived",
            "unarchive": "unarchived", "snooze": "snoozed", "unsnooze": "returned",
        }  # fmt: skip
        fields: dict[str, Any] = {"at": now_text()}
        if action == "snooze":
            fields = {"until": (await request.json())["until"]}
        event = self.inbox.change(kinds[action], [number], fields=fields)
        await self._tell(event)
        return self._changed(1)

    async def _read_all(self, request: web.Request) -> web.Response:
        up_to = (await request.json()).get("up_to") or self.inbox.seq
        before = self.inbox.unread()
        await self._tell(self.inbox.change("read_all", up_to=up_to, fields={"at": now_text()}))
        return self._changed(before - self.inbox.unread())

    async def _bulk(self, request: web.Request) -> web.Response:
        body = await request.json()
        kinds = {"read": "read", "unread": "unread", "archive": "archived"}
        assert len(body["ids"]) <= 100
        event = self.inbox.change(
            kinds.get(body["action"], "unarchived"), body["ids"], fields={"at": now_text()}
        )
        await self._tell(event)
        return self._changed(len(body["ids"]))

    def _changed(self, count: int) -> web.Response:
        values = {"changed": count, "unread": self.inbox.unread(), "seq": self.inbox.seq}
        return web.json_response(values)

    async def _seen(self, request: web.Request) -> web.Response:
        self.received.append({"type": "seen", "data": await request.json()})
        return web.json_response({})

    async def _preferences(self, _request: web.Request) -> web.Response:
        values = {"global": self.inbox.overall, "categories": self.inbox.categories}
        return web.json_response(values)

    async def _change_preferences(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.received.append({"type": "preferences", "data": body})
        self.inbox.overall.update(body.get("global", {}))
        for key, switches in body.get("categories", {}).items():
            known = {
                name: self.inbox.overall[name]
                for name in self.inbox.overall
                if name.endswith("_enabled")
            }
            self.inbox.categories[key] = {**known, **self.inbox.categories.get(key, {}), **switches}
        await self._tell(self.inbox.change("preferences"))
        return await self._preferences(request)

    async def _categories(self, _request: web.Request) -> web.Response:
        rows = [{"key": key, "name": key.capitalize(), "marketing": False} for key in CATEGORIES]
        return web.json_response({"results": rows, "next": None, "previous": None})

    async def _script(self, _request: web.Request) -> web.Response:
        return web.Response(body=SCRIPT.read_bytes(), content_type="text/javascript")

    async def _page(self, request: web.Request) -> web.Response:
        if request.path == "/favicon.ico":
            return web.Response(status=204)
        text = self.pages.get(request.match_info["name"])
        if text is None:
            raise web.HTTPNotFound
        kind = "text/html"
        for suffix, other in ((".js", "text/javascript"), (".css", "text/css")):
            if request.path.endswith(suffix):
                kind = other
        headers = {"Content-Security-Policy": POLICY}
        return web.Response(text=text, content_type=kind, headers=headers)
