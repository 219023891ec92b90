"""Builds what a message says: the rendered template, links to preferences, and headers.

With the headers a mail program offers to unsubscribe. No query; one HMAC for each link, and one for
all tracking links of a mail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from directory.texts import find_unstorable
from notifications.domain.channels import Channel
from notifications.domain.errors import TemplateFault
from notifications.domain.messages import (
    EXTRAS_KEY,
    MAX_PUSH_EXTRAS_BYTES,
    Attachment,
    Content,
    push_weight,
)
from notifications.engine.shared_rows import CategoryFacts, category_facts, job_context
from notifications.infra.conf import environment
from notifications.infra.crypto import unseal_json
from notifications.infra.links import leave_list_url, preferences_url, unsubscribe_url
from notifications.infra.tracking.links import LinkSigner, tracking_base
from notifications.models.delivery.attachment import attachments_of
from notifications.models.delivery.hot_rows import PendingMessage
from notifications.policy.facts import SliceFacts
from notifications.policy.options import UTM, list_of_message, options_of
from notifications.rendering.engine import storable
from notifications.rendering.lengths.push import push_fitted
from notifications.rendering.mail.tracked import MailTracker
from notifications.rendering.mail.utm import add_parameters
from notifications.rendering.personalization import service_context
from notifications.rendering.render import (
    LINK_VARIABLES,
    CompiledVersion,
    UserFacts,
    text_content,
)
from notifications.rendering.texts.list_texts import leave_footer

NO_HEADERS: Mapping[str, str] = {}
_ADDRESSED = (Channel.EMAIL, Channel.SMS, Channel.TELEGRAM)
_LOCALE = UserFacts._fields.index("locale")
_ONE_CLICK = "List-Unsubscribe=One-Click"
_OFF, _ASKED = "off", "asked"


def content_of(
    message: PendingMessage,
    version: CompiledVersion | None,
    facts: SliceFacts,
    *,
    at: datetime,
) -> Content:
    """Returns what a message says on its channel.

    Raises:
        TemplateFault: the template fails with this context; template_deleted.
    """
    if version is None and message.template_version_id:
        detail = "its template was deleted after it was accepted"
        raise TemplateFault(detail, code="template_deleted")
    if version is None:
        shared = not message.text and message.job_id
        text = job_context(shared) if shared else unseal_json(message.text, facts.keys)
        return _free_text(text, message.channel, _leave_footer(message, facts))
    context = context_of(message, version, facts, at=at)
    extras = context.pop(EXTRAS_KEY, None)
    content: Content = version.render(
        channel=message.channel, locale=locale_of(message, facts), context=context
    )
    return _add_extras(content, extras, message.channel) if extras else content


def _add_extras(content: Content, extras: Mapping[str, Any], channel: str) -> Content:
    """Returns a text with its extras. The text of a push is cut to the space that they leave.

    Raises:
        TemplateFault: push_too_long; the extras leave no space for a text.
    """
    title, body = content.title, content.body
    if channel == Channel.PUSH:
        weight = push_weight(extras)
        if weight > MAX_PUSH_EXTRAS_BYTES:
            raise TemplateFault(
                "its data leaves no space for the text of a push", code="push_too_long"
            )
        title, body = push_fitted(title, body, weight)
    return replace(content, title=title, body=body, data={**content.data, **extras})


def context_of(
    message: PendingMessage,
    version: CompiledVersion,
    facts: SliceFacts,
    *,
    at: datetime,
    for_caller: bool = False,
) -> dict[str, Any]:
    """Returns the context of a template: what the caller gave, and the variables of the service.

    for_caller: the text is shown to the caller and not sent. Its links are examples then, because
    a working link acts for the person.
    """
    row = facts.users.get(message.user_id or 0)
    context = {
        **(job_context(message.job_id) if message.job_id else {}),
        **unseal_json(message.context, facts.keys),
        **service_context(at=at, user=row),
    }
    if version.links_back and for_caller:
        context |= example_links()
    elif version.links_back:
        contact = facts.contacts.get(message.id)
        address = contact.address if contact and message.channel in _ADDRESSED else ""
        context |= links_back(message, category_facts(message.category_id), address)
    return context


def _free_text(text: Mapping[str, Any], channel: str, footer: str) -> Content:
    """Returns what a message without a template says.

    Raises:
        TemplateFault: invalid_rendered_text.
    """
    title = storable(str(text.get("title", "")), name="title")
    body = storable(str(text.get("message", "")), name="message")
    plain: Content = text_content(title, body + footer, channel=channel)
    data = text.get("data")
    if not isinstance(data, dict) or not data:
        return plain
    wrong = find_unstorable(data)
    if wrong is not None:
        raise TemplateFault(f"its data {wrong.detail}", code="invalid_rendered_text")
    return _add_extras(plain, data, channel)


def locale_of(message: PendingMessage, facts: SliceFacts) -> str:
    """Returns the locale of a message: the caller's, else the person's, else the service's."""
    row = facts.users.get(message.user_id or 0)
    return message.locale or (row[_LOCALE] if row else "") or environment().locale


def links_back(message: PendingMessage, category: CategoryFacts, address: str) -> dict[str, str]:
    """Returns the links that a template may show; empty where they have no use."""
    if message.user_id is None:
        return {"unsubscribe_url": "", "preferences_url": ""}
    return {
        "unsubscribe_url": _end_url(message, message.user_id, category, address),
        "preferences_url": preferences_url(message.user_id, address),
    }


def _end_url(message: PendingMessage, user_id: int, category: CategoryFacts, address: str) -> str:
    """Returns the link that ends such messages: it leaves the mailing list, or ends the category.

    Empty for a category that cannot be ended; a list can always be left.
    """
    list_id = list_of_message(message.options)
    if list_id is not None:
        return leave_list_url(user_id, list_id, address)
    return unsubscribe_url(user_id, category.key, address) if category.can_end else ""


def _leave_footer(message: PendingMessage, facts: SliceFacts) -> str:
    """Returns the end of a mail without a template that went to a list; empty for other texts.

    A template says where it shows the link; a plain text cannot.
    """
    list_id = list_of_message(message.options)
    if list_id is None or message.channel != Channel.EMAIL or message.user_id is None:
        return ""
    contact = facts.contacts.get(message.id)
    url = leave_list_url(message.user_id, list_id, contact.address if contact else "")
    return leave_footer(locale_of(message, facts), url)


def example_links() -> dict[str, str]:
    """Returns links of the same form that open no page."""
    return {name: f"{environment().public_url}/{name}/example" for name in LINK_VARIABLES}


def headers_of(message: PendingMessage, category: CategoryFacts, address: str) -> Mapping[str, str]:
    """Returns the headers of RFC 8058, by which a reader unsubscribes with one click.

    Empty for critical messages, for categories that cannot be ended, for addresses that are no
    user, and where the service has no https address: RFC 8058 allows no other.
    """
    if (
        message.channel != Channel.EMAIL
        or message.user_id is None
        or message.priority <= 1
        or not environment().public_url.startswith("https://")
    ):
        return NO_HEADERS
    url = _end_url(message, message.user_id, category, address)
    if not url:
        return NO_HEADERS
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": _ONE_CLICK}


def files_of(message: PendingMessage) -> tuple[Attachment, ...]:
    """Returns the attachments of a mail; other channels carry none.

    Raises:
        TemplateFault: attachment_deleted; e.g. when an old dead letter is replayed.
    """
    if not message.options or message.channel != Channel.EMAIL:
        return ()
    found = attachments_of(options_of(message.options).get("attachments", ()))
    if found is None:
        raise TemplateFault("an attachment is no longer stored", code="attachment_deleted")
    return found


def sender_of(channel: str, options: Mapping[str, Any]) -> str:
    """Returns the requested sender if it fits the channel: an address for mail, else a number."""
    sender = str(options.get("sender", ""))
    return sender if sender and ("@" in sender) == (channel == Channel.EMAIL) else ""


def with_parameters(content: Content, message: PendingMessage) -> Content:
    """Returns what a mail says with the parameters that its sender adds to links."""
    if not message.options or message.channel != Channel.EMAIL:
        return content
    given = options_of(message.options).get(UTM)
    if not given:
        return content
    html, text = add_parameters(content.html, content.body, tuple(given.items()))
    return replace(content, html=html, body=text)


def with_tracking(
    content: Content, message: PendingMessage, category: CategoryFacts, facts: SliceFacts
) -> Content:
    """Returns what a mail says with tracking links, where it is tracked; else the content itself.

    Critical mails, tests, and mails of categories that are not trackable never are: their links
    may sign in their reader.
    """
    if message.channel != Channel.EMAIL or message.priority <= 1 or message.is_test:
        return content
    settings = environment()
    clicks = _is_wanted(message, "track_clicks", settings.track_clicks)
    opens = _is_wanted(message, "track_opens", settings.track_opens)
    if not (clicks or opens) or not category.trackable or not _allows(message, category, facts):
        return content
    tracker = MailTracker(LinkSigner(message.id, tracking_base()))
    html, text = content.html, content.body
    if clicks:
        html, text = tracker.clicks(html, text)
        if html and category.terms.marketing:
            html = tracker.honeypot(html, settings.app_url)
    if opens and html:
        html = tracker.pixel(html)
    return replace(content, html=html, body=text)


def _is_wanted(message: PendingMessage, option: str, setting: str) -> bool:
    """Returns whether the service and the sender want it."""
    if setting == _OFF:
        return False
    given: Any = options_of(message.options).get(option) if message.options else None
    return bool(given) if setting == _ASKED else given is not False


def _allows(message: PendingMessage, category: CategoryFacts, facts: SliceFacts) -> bool:
    """Returns whether the person allows it. Who is no user had no choice, and is not tracked."""
    if message.user_id is None:
        return False
    return facts.preferences_for(message.user_id, message.channel, category.terms).tracked
