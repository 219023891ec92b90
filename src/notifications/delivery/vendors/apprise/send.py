"""Chat and some hundred other services through Apprise; the address is an Apprise URL.

Apprise blocks, so that it runs in a bounded pool of threads. It tells what went wrong in its log
only, which quotes addresses: it is captured here and led to no handler (settings/logs.py). What
cannot be read there for certain is doubt.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import apprise
from apprise.plugins import url_to_dict

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import (
    Capabilities,
    NotificationChannelProvider,
    link_of,
    with_our_names,
)
from notifications.delivery.http_responses import forbidden, status_meaning
from notifications.delivery.vendors.apprise.services import ChatService, is_named, service_for
from notifications.delivery.vendors.apprise.settings import Settings
from notifications.infra.conf import environment
from notifications.infra.http.client import AddressRefused
from notifications.infra.http.connection_guard import HTTPS, HostPolicy, guard_connections

_CALL_SHARE = 0.9
_CONNECT_SHARE = 1 / 3
_THREADS = 8
_STATUS = re.compile(r"error=(\d{3})\b")
_NOT_WRITTEN = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|Connection refused|SSLError"
)
_TIMED_OUT = "timed out"


class AppriseChatProvider(NotificationChannelProvider):
    """Sends to one Apprise URL (`slack://...`, `discord://...`, `workflows://...`).

    The services and parameters are those of delivery/protocols/chat_services.py. A service at its
    vendor's own address may always be called; one whose URL names a host only if
    CARILLON_APPRISE_HOSTS names it too.
    """

    key: ClassVar[str] = "apprise"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="chat", batch_size=1, concurrency=_THREADS
    )

    def __init__(self) -> None:
        given = environment()
        self._timeout_s = given.provider_timeout_seconds * _CALL_SHARE
        self._hosts = settings_of(Settings).apprise_hosts
        self._any_host = given.webhook_allow_private
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="carillon-apprise")
        self._asset = apprise.AppriseAsset(
            app_id="Carillon", app_desc="Carillon", storage_mode=apprise.PersistentStoreMode.MEMORY
        )

    @classmethod
    def host_of(cls, recipient: str) -> str:
        """The service that a URL names by its scheme, or its host where it is the vendor's own."""
        scheme, _, rest = recipient.partition("://")
        if scheme.lower() in ("http", "https"):
            return re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2][:40].lower()
        return scheme[:40].lower()

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether Apprise knows the service, and it may be called."""
        return (await self._on_thread(self._plugin, recipient))[0] is not None

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sends the title, the body and the link as plain text."""
        message = with_our_names(message)
        plugin, service = await self._on_thread(self._plugin, recipient)
        if plugin is None or service is None:
            return {
                "success": False,
                "error": "not a service that may be called",
                "error_code": "invalid_recipient",
                "recipient_dead": True,
            }
        title = str(message.get("title", ""))
        parts = (str(message.get("body", "")), link_of(message))
        body = "\n".join(part for part in parts if part)
        try:
            # The library bounds each read, not the whole: a dripping server is bounded here.
            async with asyncio.timeout(self._timeout_s):
                words, took, refused = await self._on_thread(
                    self._notify, plugin, self._judge_for(service), title, body
                )
        except TimeoutError:
            words, took, refused = _TIMED_OUT, False, False
        if refused and not took:
            return forbidden(AddressRefused("the service leads where it may not"))
        if took:
            return {"success": True, "message_id": str(message.get("reference", ""))}
        return _meaning_of(words)

    async def _on_thread(self, call: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    def _plugin(self, url: str) -> tuple[apprise.NotifyBase | None, ChatService | None]:
        """The service that a URL means; None for an unknown or a forbidden one.

        Apprise reads the URL once, and what it read is both judged and used.
        """
        try:
            parsed = url_to_dict(url, secure_logging=True)  # type: ignore[no-untyped-call]  # theirs
            service = service_for(parsed) if parsed else None
            if parsed is None or service is None:
                return None, None
            plugin = apprise.Apprise.instantiate(parsed, asset=self._asset)
        except (TypeError, AttributeError, ValueError, KeyError):
            return None, None
        if not isinstance(plugin, apprise.NotifyBase) or not self._may_call(plugin, service):
            return None, None
        plugin.redirects = False
        plugin.socket_connect_timeout = self._timeout_s * _CONNECT_SHARE
        plugin.socket_read_timeout = self._timeout_s * (1 - _CONNECT_SHARE)
        return plugin, service

    def _may_call(self, plugin: apprise.NotifyBase, service: ChatService) -> bool:
        if self._any_host or service.hosts:
            return True
        return is_named(str(getattr(plugin, "host", "") or ""), self._hosts)

    def _judge_for(self, service: ChatService) -> HostPolicy | None:
        """Where the thread of a call may connect to, whatever the library makes of the URL."""
        if self._any_host:
            return None
        vendors, named = service.hosts, self._hosts

        def judge(host: str, port: int) -> frozenset[str] | None:
            if vendors:
                return frozenset() if port == HTTPS and is_named(host, vendors) else None
            # An address that is not public is called if the operator wrote it down as well.
            return frozenset(named) if is_named(host, named) else None

        return judge

    def _notify(
        self, plugin: apprise.NotifyBase, judge: HostPolicy | None, title: str, body: str
    ) -> tuple[str, bool, bool]:
        """On a thread: what the log said, whether the service took it, and whether it was kept from
        an address that may not be called."""
        sender = apprise.Apprise(asset=self._asset)
        sender.add(plugin)
        with (
            guard_connections(judge) as walled,
            sender.notify(
                body=body or title,
                title=title if body else "",
                body_format=apprise.NotifyFormat.TEXT,
                log_level=logging.DEBUG,
            ) as result,
        ):
            words = "\n".join(entry.message for entry in result.logs())
            return words, bool(result), walled.refused


def _meaning_of(words: str) -> dict[str, Any]:
    """What Apprise's log means: a status it names, a connection that never was, else doubt."""
    named = _STATUS.search(words)
    kept = {"log": words[:2000]}
    if named:
        return {**status_meaning(int(named.group(1))), "provider_response": kept}
    written = not _NOT_WRITTEN.search(words)
    return {
        "success": False,
        "error": "Apprise could not send it" + (", or it did" if written else ""),
        "error_code": "timeout" if _TIMED_OUT in words else "connection",
        "retry": not written,
        "uncertain": written,
        "provider_response": kept,
    }
