"""States, reasons and events of messages in words, in the language of the page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

Text = str | Promise
_STATES: Mapping[str, tuple[Text, str]] = {
    "pending": (pgettext_lazy("state", "waiting"), "waiting"),
    "processing": (pgettext_lazy("state", "being sent"), "waiting"),
    "uncertain": (pgettext_lazy("state", "uncertain"), "bad"),
    "sent": (pgettext_lazy("state", "sent"), "good"),
    "delivered": (pgettext_lazy("state", "delivered"), "good"),
    "failed": (pgettext_lazy("state", "failed"), "bad"),
    "suppressed": (pgettext_lazy("state", "not sent"), "quiet"),
    "cancelled": (pgettext_lazy("state", "cancelled"), "quiet"),
    "expired": (pgettext_lazy("state", "expired"), "quiet"),
    "digested": (pgettext_lazy("state", "in a digest"), "quiet"),
    "refused": (pgettext_lazy("state", "refused"), "quiet"),
    "active": (pgettext_lazy("state", "active"), "good"),
    "bounced": (pgettext_lazy("state", "bounced"), "bad"),
    "unsubscribed": (pgettext_lazy("state", "unsubscribed"), "quiet"),
    "closed": (pgettext_lazy("state", "closed"), "good"),
    "open": (pgettext_lazy("state", "open"), "bad"),
    "half_open": (pgettext_lazy("state", "probing"), "waiting"),
    "draft": (pgettext_lazy("state", "draft"), "quiet"),
    "awaiting_approval": (pgettext_lazy("state", "waits for approval"), "waiting"),
    "scheduled": (pgettext_lazy("state", "scheduled"), "waiting"),
    "sending": (pgettext_lazy("state", "sending"), "waiting"),
    "running": (pgettext_lazy("state", "running"), "waiting"),
    "live": (pgettext_lazy("state", "live"), "good"),
    "paused": (pgettext_lazy("state", "paused"), "waiting"),
    "completed": (pgettext_lazy("state", "completed"), "good"),
    "ended": (pgettext_lazy("state", "ended"), "quiet"),
    "exited": (pgettext_lazy("state", "left"), "quiet"),
    "held_out": (pgettext_lazy("state", "held out"), "quiet"),
    "waiting": (pgettext_lazy("state", "waiting"), "waiting"),
    "subscribed": (pgettext_lazy("state", "on the list"), "good"),
}
_CHANNELS: Mapping[str, Text] = {
    "push": pgettext_lazy("channel", "Push"),
    "email": pgettext_lazy("channel", "Email"),
    "sms": pgettext_lazy("channel", "SMS"),
    "websocket": pgettext_lazy("channel", "In the open app"),
    "in_app": pgettext_lazy("channel", "Inbox"),
    "telegram": pgettext_lazy("channel", "Telegram"),
    "webhook": pgettext_lazy("channel", "Webhook"),
    "chat": pgettext_lazy("channel", "Chat"),
    "phone": pgettext_lazy("channel", "Phone"),
}
REASONS: Mapping[str, Text] = {
    "allowed": gettext_lazy("nothing objects"),
    "expires_at_passed": gettext_lazy("it expired before it could be sent"),
    "kill_switch": gettext_lazy("an operator stopped it"),
    "collapsed_by_newer": gettext_lazy("a newer message replaced it"),
    "already_read": gettext_lazy("it was read on another channel"),
    "user_inactive": gettext_lazy("the person is not active"),
    "channel_not_in_template": gettext_lazy("the template has no text for this channel"),
    "no_contact_point": gettext_lazy("the person has no address for this channel"),
    "address_suppressed": gettext_lazy("the address is on the suppression list"),
    "contact_bounced": gettext_lazy("mails to this address bounced"),
    "contact_expired": gettext_lazy("the address has expired"),
    "contact_unsubscribed": gettext_lazy("the person unsubscribed this address"),
    "country_not_allowed": gettext_lazy("no SMS are sent to this country"),
    "not_on_list": gettext_lazy("the person has left the mailing list"),
    "no_consent": gettext_lazy("the person has given no consent"),
    "notifications_off": gettext_lazy("the person switched notifications off"),
    "channel_off": gettext_lazy("the person switched this channel off"),
    "category_channel_off": gettext_lazy("the person switched this channel off for the category"),
    "marketing_off": gettext_lazy("the person switched marketing off"),
    "held_out": gettext_lazy("the person is in the holdout of a test"),
    "digest_never": gettext_lazy("the person reads such messages in the inbox only"),
    "digest_hourly": gettext_lazy("it goes with the hourly digest"),
    "digest_daily": gettext_lazy("it goes with the daily digest"),
    "digest_weekly": gettext_lazy("it goes with the weekly digest"),
    "frequency_cap": gettext_lazy("the person got as many of this category as its cap allows"),
    "throttled": gettext_lazy("the person got as many as the sender allows"),
    "duplicate": gettext_lazy("the same message was sent a moment before"),
    "quiet_hours": gettext_lazy("quiet hours"),
    "do_not_disturb": gettext_lazy("do not disturb"),
    "waiting_for_earlier_message": gettext_lazy("an earlier message of its order is not settled"),
    "sms_daily_spend": gettext_lazy("the SMS of this day cost as much as allowed"),
    "sms_over_daily_spend": gettext_lazy("this SMS costs more than a day may"),
    "sms_price_unknown": gettext_lazy("the price of this SMS is not known"),
    "burst": gettext_lazy("it goes with other unread messages"),
    "burst_window": gettext_lazy("it waits for other unread messages"),
    "urgent_despite_notifications_off": gettext_lazy("urgent, though notifications are off"),
    "critical_despite_channel_off": gettext_lazy("critical, though the channel is off"),
    "urgent_despite_quiet_hours": gettext_lazy("urgent, though it is in quiet hours"),
    "preferences_bypassed": gettext_lazy("the sender bypassed the preferences"),
    "scheduled": gettext_lazy("its time has not come"),
    "connection": gettext_lazy("no connection to the provider"),
    "timeout": gettext_lazy("the provider did not answer in time"),
    "auth": gettext_lazy("the provider refused our credentials"),
    "not_configured": gettext_lazy("the provider lacks a setting"),
    "invalid_recipient": gettext_lazy("the address is not valid for this channel"),
    "template_deleted": gettext_lazy("the template was deleted"),
    "template_limit": gettext_lazy("the template used too much computing time"),
    "attempts_exhausted": gettext_lazy("every attempt failed"),
    "uncertain": gettext_lazy("it may have arrived: a person decides"),
    "poison": gettext_lazy("three workers ended while they worked on it"),
    "restored": gettext_lazy("a backup was restored while it waited"),
    "learned_hour": gettext_lazy("the hour at which the person engages most"),
    "holdout_hour": gettext_lazy("an hour by chance: the person is in the holdout"),
    "first_hour": gettext_lazy("the first hour: too little is known of the person"),
    "learned_channel": gettext_lazy("the channel on which the person engages most comes first"),
    "holdout_channel": gettext_lazy("the given channel: the person is in the holdout"),
    "first_channel": gettext_lazy("the given channel: too little is known of the person"),
}
"""The words of each reason, by its code or the part before a colon."""

_EVENTS: Mapping[str, Text] = {
    "accepted": gettext_lazy("Accepted"),
    "learned": gettext_lazy("Chosen by what is known of the person"),
    "allowed": gettext_lazy("Decided: it may be sent"),
    "deferred": gettext_lazy("Deferred"),
    "retry": gettext_lazy("Another attempt follows"),
    "digested": gettext_lazy("Added to a digest"),
    "suppressed": gettext_lazy("Not sent"),
    "expired": gettext_lazy("Expired"),
    "pending": gettext_lazy("Queued again"),
    "sent": gettext_lazy("Taken by the provider"),
    "delivered": gettext_lazy("Delivered"),
    "failed": gettext_lazy("Failed"),
    "uncertain": gettext_lazy("Uncertain"),
    "cancelled": gettext_lazy("Cancelled"),
    "refused": gettext_lazy("Refused"),
    "complained": gettext_lazy("The person complained"),
    "unsubscribed": gettext_lazy("The person unsubscribed"),
    "dead_letter": gettext_lazy("Became a dead letter"),
}
_WAITS: Mapping[str, Text] = {
    "kill_switch": gettext_lazy("It waits: an operator stopped %(name)s"),
    "breaker": gettext_lazy("It waits: %(name)s fails, and is not called"),
    "pause": gettext_lazy("It waits: %(name)s asked for a pause"),
    "limit": gettext_lazy("It waits: the rate limit of %(name)s"),
    "order": gettext_lazy("It waits for an earlier message with the same %(name)s"),
}
_VERDICTS: Mapping[str, Text] = {
    "sent": gettext_lazy("accepted"),
    "delivered": gettext_lazy("delivered"),
    "retry": gettext_lazy("not accepted, to be repeated"),
    "failed": gettext_lazy("refused for good"),
    "uncertain": gettext_lazy("no clear answer"),
}


def state(value: str) -> str:
    """Returns the name of a state; an unknown one as it is."""
    return str(_STATES[value][0]) if value in _STATES else value.replace("_", " ")


def tone(value: str) -> str:
    """Returns the tone of a state: good, bad, waiting or quiet."""
    return _STATES[value][1] if value in _STATES else "quiet"


def channel(value: str) -> str:
    """Returns the name of a channel or of a kind of address; an unknown one as it is."""
    return str(_CHANNELS.get(value, value))


def reason(code: str) -> str:
    """Returns a reason in words; an unknown code as it is. The part after a colon follows it."""
    name, colon, rest = code.partition(":")
    if name not in REASONS:
        return code
    return f"{REASONS[name]} ({rest})" if colon and rest else str(REASONS[name])


def event(name: str) -> str:
    """Returns an event of a message in words; an unknown one as it is."""
    return str(_EVENTS[name]) if name in _EVENTS else name.replace("_", " ").capitalize()


def verdict(value: str) -> str:
    """Returns the result of a call to a provider in words."""
    return str(_VERDICTS.get(value, value))


def place_of(zone: tzinfo) -> str:
    """Returns the city of a zone: `Berlin` for Europe/Berlin, and UTC as it is."""
    return str(zone).rpartition("/")[2].replace("_", " ")


def waits_for(kind: str, name: str, *, until: datetime | None, now: datetime, zone: tzinfo) -> str:
    """Returns what a message waits for, as a sentence. zone: where the person is."""
    if kind in _WAITS:
        text = str(_WAITS[kind]) % {"name": name or _("everything")}
    else:
        text = _("It waits: %(reason)s") % {"reason": reason(name)}
    if until is None:
        return text
    local = until.astimezone(zone)
    is_today = local.date() == now.astimezone(zone).date()
    moment = date_format(local, "H:i") if is_today else date_format(local, "j E, H:i")
    return _("%(text)s, until %(time)s in %(place)s") % {
        "text": text,
        "time": moment,
        "place": place_of(zone),
    }


def duration(seconds: int) -> str:
    """Returns a duration in words, with its two largest units."""
    if seconds < 60:
        return _("%(seconds)d s") % {"seconds": seconds}
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
    hours, minutes = divmod(minutes, 60)
    return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
