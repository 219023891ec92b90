"""Chat and some hundred other services through Apprise; the address is an Apprise URL.

Apprise blocks, so it runs in a bounded pool of threads. It reports errors in its log only. The log
quotes addresses: this module captures it, and no handler receives it (settings/logs.py). A failure
that the log does not name clearly is uncertain.
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
from notifications.delivery.http_responses import forbidden
from notifications.delivery.vendors.apprise.faults import TIMED_OUT, meaning_of
from notifications.delivery.vendors.apprise.services import ChatService, is_named, service_for
from notifications.delivery.vendors.apprise.settings import Settings
from notifications.infra.conf import environment
from notifications.infra.http.client import AddressRefused
from notifications.infra.http.connection_guard import HTTPS, HostPolicy, guard_connections

_CALL_SHARE = 0.9
_CONNECT_SHARE = 1 / 3
_THREADS = 8


class AppriseChatProvider(NotificationChannelProvider):
    """Sends to one Apprise URL (`slack://...`, `discord://...`, `workflows://...`).

    The services and parameters are those of services.py. A service at its vendor's own address may
    always be called. A service whose URL names a host may be called only if CARILLON_APPRISE_HOSTS
    lists that host.
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
        """Returns the service of a URL: its scheme, or the host of an http(s) URL."""
        scheme, _, rest = recipient.partition("://")
        if scheme.lower() in ("http", "https"):
            return re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2][:40].lower()
        return scheme[:40].lower()

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether Apprise supports the service, and it may be called."""
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
            # The library limits each read. This limits the whole call, for a slow server.
            async with asyncio.timeout(self._timeout_s):
                log_text, accepted, refused = await self._on_thread(
                    self._notify, plugin, self._host_policy(service), title, body
                )
        except TimeoutError:
            log_text, accepted, refused = TIMED_OUT, False, False
        if refused and not accepted:
            return forbidden(AddressRefused("the service uses a forbidden address"))
        if accepted:
            return {"success": True, "message_id": str(message.get("reference", ""))}
        return meaning_of(log_text)

    async def _on_thread(self, call: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    def _plugin(self, url: str) -> tuple[apprise.NotifyBase | None, ChatService | None]:
        """Returns the plugin and the service of a URL; None for an unknown or a forbidden one.

        Apprise parses the URL once; the parsed form is both checked and used.
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

    def _host_policy(self, service: ChatService) -> HostPolicy | None:
        """Returns where a call's thread may connect, however the library reads the URL."""
        if self._any_host:
            return None
        vendors, listed = service.hosts, self._hosts

        def policy(host: str, port: int) -> frozenset[str] | None:
            if vendors:
                return frozenset() if port == HTTPS and is_named(host, vendors) else None
            # An address that is not public may be called only if the operator listed it as well.
            return frozenset(listed) if is_named(host, listed) else None

        return policy

    def _notify(
        self, plugin: apprise.NotifyBase, policy: HostPolicy | None, title: str, body: str
    ) -> tuple[str, bool, bool]:
        """Sends, on a thread.

        Returns the log's text, whether the service accepted the message, and whether a connection
        to a forbidden address was refused.
        """
        sender = apprise.Apprise(asset=self._asset)
        sender.add(plugin)
        with (
            guard_connections(policy) as guard,
            sender.notify(
                body=body or title,
                title=title if body else "",
                body_format=apprise.NotifyFormat.TEXT,
                log_level=logging.DEBUG,
            ) as result,
        ):
            log_text = "\n".join(entry.message for entry in result.logs())
            return log_text, bool(result), guard.refused
