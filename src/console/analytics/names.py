"""The names of reports, their columns and rows, in the language of the page."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, pgettext_lazy

Text = str | Promise
REPORT_NAMES: Mapping[str, Text] = {
    "funnel": gettext_lazy("Funnel"),
    "channels": gettext_lazy("Channels"),
    "templates": gettext_lazy("Templates"),
    "providers": gettext_lazy("Providers"),
    "failures": gettext_lazy("Failures"),
    "engagement": gettext_lazy("Opens and clicks"),
    "reputation": gettext_lazy("Reputation"),
    "cohort": gettext_lazy("By time of sending"),
    "learning": gettext_lazy("Learned channels"),
}
COUNT_NAMES: Mapping[str, Text] = {
    "sent": pgettext_lazy("count", "Sent"),
    "delivered": pgettext_lazy("count", "Delivered"),
    "failed": pgettext_lazy("count", "Failed"),
    "bounced": pgettext_lazy("count", "Bounced"),
    "suppressed": pgettext_lazy("count", "Not sent"),
    "cancelled": pgettext_lazy("count", "Cancelled"),
    "expired": pgettext_lazy("count", "Expired"),
    "digested": pgettext_lazy("count", "In a digest"),
    "uncertain": pgettext_lazy("count", "Uncertain"),
    "complained": pgettext_lazy("count", "Complained"),
    "unsubscribed": pgettext_lazy("count", "Unsubscribed"),
    "opened_human": pgettext_lazy("count", "Opened by people"),
    "opened_machine": pgettext_lazy("count", "Opened by machines"),
    "opened_unknown": pgettext_lazy("count", "Opened by unknown readers"),
    "clicked_human": pgettext_lazy("count", "Clicked by people"),
    "clicked_machine": pgettext_lazy("count", "Clicked by machines"),
    "clicked_unknown": pgettext_lazy("count", "Clicked by unknown readers"),
    "converted": pgettext_lazy("count", "Converted"),
}
GROUP_NAMES: Mapping[str, Text] = {
    "start": gettext_lazy("From"),
    "channel": gettext_lazy("Channel"),
    "template": gettext_lazy("Template"),
    "provider": gettext_lazy("Provider"),
    "variant": gettext_lazy("Group"),
}
INTERVAL_NAMES: Mapping[str, Text] = {
    "hour": gettext_lazy("Hours"),
    "day": gettext_lazy("Days"),
    "week": gettext_lazy("Weeks"),
}
