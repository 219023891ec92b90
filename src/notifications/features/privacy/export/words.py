"""The words of an exported page, in the languages of the service."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_SECTIONS = {
    "profile": gettext_lazy("Your profile"),
    "contact_points": gettext_lazy("Your addresses"),
    "address_proofs": gettext_lazy("Addresses that wait for a code"),
    "devices": gettext_lazy("Your devices"),
    "groups": gettext_lazy("Your groups"),
    "lists": gettext_lazy("Your mailing lists"),
    "lessons": gettext_lazy("Subjects that you learn"),
    "taught": gettext_lazy("Subjects that you teach"),
    "tutoring": gettext_lazy("Tutors and students"),
    "family": gettext_lazy("Parents and children"),
    "preferences": gettext_lazy("Your preferences"),
    "consents": gettext_lazy("Your consents"),
    "suppressions": gettext_lazy("Addresses that nothing is sent to"),
    "notifications": gettext_lazy("Your notifications"),
    "inbox": gettext_lazy("Your inbox"),
    "inbox_changes": gettext_lazy("What you did in your inbox"),
    "last_seen": gettext_lazy("When you were connected last"),
    "events": gettext_lazy("What you did elsewhere"),
    "conversions": gettext_lazy("Goals that you reached"),
    "digests": gettext_lazy("Your digests"),
    "refused_sends": gettext_lazy("What was not sent because you opted out"),
    "frequency_counts": gettext_lazy("How often you were notified lately"),
    "engagement_hours": gettext_lazy("At which hours you read messages"),
    "received_texts": gettext_lazy("Texts that you sent to us"),
    "broadcasts_received": gettext_lazy("Broadcasts that you received"),
    "broadcasts_written": gettext_lazy("Broadcasts that you wrote"),
    "campaigns_written": gettext_lazy("Campaigns that you wrote"),
    "holdouts": gettext_lazy("Campaigns that you were not sent"),
    "mail_series": gettext_lazy("Series of mails that you are in"),
    "mail_series_written": gettext_lazy("Series of mails that you wrote"),
    "series": gettext_lazy("Your recurring notifications"),
    "audit_entries": gettext_lazy("Changes of your data"),
    "tokens": gettext_lazy("Your access tokens"),
    "api_keys": gettext_lazy("Your API keys"),
    "sessions": gettext_lazy("Your sessions"),
    "sign_ins": gettext_lazy("Where you signed in"),
    "repeated_calls": gettext_lazy("Stored responses to your calls"),
    "admin_log": gettext_lazy("Entries of the administration"),
    "erasures": gettext_lazy("Requests to erase your data"),
}
_LABELS = {
    "user_id": gettext_lazy("Number"),
    "exported_at": gettext_lazy("Exported at"),
    "username": gettext_lazy("Username"),
    "email": gettext_lazy("Email"),
    "first_name": gettext_lazy("First name"),
    "last_name": gettext_lazy("Last name"),
    "phone_number": gettext_lazy("Phone number"),
    "locale": gettext_lazy("Language"),
    "timezone": gettext_lazy("Time zone"),
    "address": gettext_lazy("Address"),
    "kind": gettext_lazy("Kind"),
    "state": gettext_lazy("State"),
    "status": gettext_lazy("Status"),
    "channel": gettext_lazy("Channel"),
    "category": gettext_lazy("Category"),
    "created_at": gettext_lazy("Created at"),
    "sent_at": gettext_lazy("Sent at"),
    "delivered_at": gettext_lazy("Delivered at"),
    "at": gettext_lazy("At"),
    "purpose": gettext_lazy("Purpose"),
    "granted": gettext_lazy("Given"),
    "wording": gettext_lazy("Wording"),
    "source": gettext_lazy("Source"),
    "title": gettext_lazy("Title"),
    "message": gettext_lazy("Message"),
    "text": gettext_lazy("Text"),
    "content": gettext_lazy("Content"),
    "messages": gettext_lazy("Messages"),
    "reason": gettext_lazy("Reason"),
}


def language_of(locale: str) -> str:
    """Returns the language of a person, or the first one of the service."""
    known = [code for code, _name in settings.LANGUAGES]
    wanted = locale.replace("-", "_").partition("_")[0].lower()
    return wanted if wanted in known else known[0]


def section(name: str) -> str:
    """Returns the heading of a section."""
    return str(_SECTIONS[name])


def label(name: str) -> str:
    """Returns the label of a value; one without a label is named as the API names it."""
    return str(_LABELS.get(name) or name.replace("_", " "))


def title(service: str) -> str:
    """Returns the title of the page."""
    return _("What %(name)s has stored about you") % {"name": service}


def nothing() -> str:
    """Returns the text of an empty section."""
    return _("Nothing is stored.")


def hidden() -> str:
    """Returns the note of an export that another person requested."""
    return _("Texts of security messages are not shown: another person requested this export.")


def yes_or_no(value: bool) -> str:
    """Returns the word for a flag."""
    return _("yes") if value else _("no")
