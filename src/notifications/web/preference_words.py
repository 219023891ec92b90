"""The words of the preference centre. Texts of consent are what the ledger keeps as wording."""

from __future__ import annotations

from collections.abc import Collection

from django.utils.translation import gettext, gettext_lazy, ngettext, pgettext, pgettext_lazy

from notifications.domain.channels import Channel
from notifications.domain.preferences import DigestFrequency
from notifications.infra.conf import environment

CHANNELS = {
    Channel.PUSH: pgettext_lazy("channel", "Push"),
    Channel.EMAIL: pgettext_lazy("channel", "Email"),
    Channel.SMS: pgettext_lazy("channel", "SMS"),
    Channel.WEBSOCKET: pgettext_lazy("channel", "In the open app"),
    Channel.IN_APP: pgettext_lazy("channel", "Inbox"),
    Channel.TELEGRAM: pgettext_lazy("channel", "Telegram"),
}
DIGESTS = {
    DigestFrequency.IMMEDIATE: gettext_lazy("At once, each by itself"),
    DigestFrequency.HOURLY: gettext_lazy("Gathered once an hour"),
    DigestFrequency.DAILY: gettext_lazy("Gathered once a day"),
    DigestFrequency.WEEKLY: gettext_lazy("Gathered once a week"),
    DigestFrequency.NEVER: gettext_lazy("Not at all: in the inbox only"),
}
FIELDS = {
    "quiet_hours_start": gettext_lazy("From"),
    "quiet_hours_end": gettext_lazy("Until"),
    "timezone": gettext_lazy("Time zone"),
    "digest_frequency": gettext_lazy("What is not urgent"),
}
_SEEDED = {
    "security": lambda: pgettext("category", "Security"),
    "payment": lambda: pgettext("category", "Payment"),
    "course": lambda: pgettext("category", "Course"),
    "announcement": lambda: pgettext("category", "Announcement"),
    "marketing": lambda: pgettext("category", "Marketing"),
    "system": lambda: pgettext("category", "System"),
    "digest": lambda: pgettext("category", "Digest"),
}


_TOPICS = {
    "security": lambda: pgettext("topic", "security notices"),
    "payment": lambda: pgettext("topic", "payment notices"),
    "course": lambda: pgettext("topic", "course notices"),
    "announcement": lambda: pgettext("topic", "announcements"),
    "marketing": lambda: pgettext("topic", "news and offers"),
    "system": lambda: pgettext("topic", "service notices"),
    "digest": lambda: pgettext("topic", "digests"),
}


def topic(key: str, name: str) -> str:
    """What a category holds, in the middle of a sentence: `announcements`; without a category,
    everything."""
    if not key:
        return pgettext("topic", "everything but what is urgent")
    if key in _TOPICS and name == key.capitalize():
        return _TOPICS[key]()
    return pgettext("topic", "messages of “%(name)s”") % {"name": name}


def stop_question(key: str, name: str) -> str:
    """What a person is asked, and says yes to, by ending a category, or everything."""
    return gettext("Stop receiving %(topic)s?") % {"topic": topic(key, name)}


def list_changes(key: str, name: str, flags: Collection[str]) -> list[str]:
    """What an unsubscribe has changed. flags: what it turned off in general."""
    found = []
    if key:
        shown = category(key, name)
        found.append(gettext("“%(name)s”: off on every channel") % {"name": shown})
    if "notifications_enabled" in flags:
        found.append(gettext("Notifications: only what is urgent"))
    if "marketing_enabled" in flags and key != "marketing":
        found.append(gettext("News and offers: off"))
    return found


def category(key: str, name: str) -> str:
    """A category's name in the page's language; one that an operator named keeps its name."""
    return _SEEDED[key]() if key in _SEEDED and name == key.capitalize() else name


def hours(count: int) -> str:
    """`for 4 hours`, `for 3 days`."""
    if count >= 24:
        return ngettext("for %d day", "for %d days", count // 24) % (count // 24)
    return ngettext("for %d hour", "for %d hours", count) % count


def wording(flag: str) -> str:
    """What a person says by ticking a box."""
    name = {"app_name": environment().app_name}
    texts = {
        "notifications_enabled": gettext("Send me notifications. Without it: only what is urgent."),
        "marketing_enabled": gettext("I want to hear news and offers of %(app_name)s.") % name,
        "data_processing_consent": gettext(
            "I agree that %(app_name)s uses my data to send me what needs my consent."
        )
        % name,
    }
    return texts[flag]


def opt_in(topic: str) -> str:
    """What a person says by confirming; without a topic it is marketing as a whole."""
    name = {"app_name": environment().app_name, "topic": topic}
    if not topic:
        return (
            gettext(
                "I want to hear news and offers of %(app_name)s, and agree that it uses my data"
                " for that."
            )
            % name
        )
    return (
        gettext(
            "I want to get “%(topic)s” from %(app_name)s, and agree that it uses my data for that."
        )
        % name
    )
