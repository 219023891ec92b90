"""The texts of the preference centre. The ledger stores the texts of consents as wording."""

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
    DigestFrequency.IMMEDIATE: gettext_lazy("Immediately, one by one"),
    DigestFrequency.HOURLY: gettext_lazy("Hourly digest"),
    DigestFrequency.DAILY: gettext_lazy("Daily digest"),
    DigestFrequency.WEEKLY: gettext_lazy("Weekly digest"),
    DigestFrequency.NEVER: gettext_lazy("Only in the inbox"),
}
FIELDS = {
    "quiet_hours_start": gettext_lazy("Start of quiet hours"),
    "quiet_hours_end": gettext_lazy("End of quiet hours"),
    "timezone": gettext_lazy("Time zone"),
    "digest_frequency": gettext_lazy("Messages that are not urgent"),
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
    """Returns the messages of a category for use within a sentence, e.g. `announcements`.

    Without a category, it stands for everything.
    """
    if not key:
        return pgettext("topic", "everything except urgent messages")
    if key in _TOPICS and name == key.capitalize():
        return _TOPICS[key]()
    return pgettext("topic", "messages about “%(name)s”") % {"name": name}


def stop_question(key: str, name: str) -> str:
    """Returns the question that a user confirms to unsubscribe from a category or everything."""
    return gettext("Stop receiving %(topic)s?") % {"topic": topic(key, name)}


def list_changes(key: str, name: str, flags: Collection[str]) -> list[str]:
    """Returns what an unsubscribe changed. flags: the general flags that it switched off."""
    found = []
    if key:
        shown = category(key, name)
        found.append(gettext("“%(name)s”: off on every channel") % {"name": shown})
    if "notifications_enabled" in flags:
        found.append(gettext("Notifications: only urgent messages"))
    if "marketing_enabled" in flags and key != "marketing":
        found.append(gettext("News and offers: off"))
    return found


def category(key: str, name: str) -> str:
    """Returns a category's name in the page's language, or the name that an operator gave."""
    return _SEEDED[key]() if key in _SEEDED and name == key.capitalize() else name


def hours(count: int) -> str:
    """Returns a duration, e.g. `for 4 hours` or `for 3 days`."""
    if count >= 24:
        return ngettext("for %d day", "for %d days", count // 24) % (count // 24)
    return ngettext("for %d hour", "for %d hours", count) % count


def wording(flag: str) -> str:
    """Returns what a user agrees to by checking a box."""
    name = {"app_name": environment().app_name}
    texts = {
        "notifications_enabled": gettext(
            "Send me notifications. If this is off, I receive only urgent messages."
        ),
        "marketing_enabled": gettext("I want to receive news and offers from %(app_name)s.") % name,
        "tracking_enabled": gettext(
            "%(app_name)s may see whether I open its emails and which links I follow, where it"
            " measures that."
        )
        % name,
        "data_processing_consent": gettext(
            "I agree that %(app_name)s uses my data to send me messages that require my consent."
        )
        % name,
    }
    return texts[flag]


def opt_in(topic: str) -> str:
    """Returns what a user agrees to by confirming. Without a topic, it is marketing as a whole."""
    name = {"app_name": environment().app_name, "topic": topic}
    if not topic:
        return (
            gettext(
                "I want to receive news and offers from %(app_name)s, and I agree that it uses my"
                " data for that."
            )
            % name
        )
    return (
        gettext(
            "I want to receive “%(topic)s” from %(app_name)s, and I agree that it uses my data for"
            " that."
        )
        % name
    )
