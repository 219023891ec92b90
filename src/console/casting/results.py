"""What the figures of an A/B test say, in words of the visitor's language."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from notifications.domain.experiments.decision import Conclusion
from notifications.features.experiments.result_schemas import ABTestResultsResponse
from notifications.models import ABTestStatus


def results_in_words(found: ABTestResultsResponse) -> str:
    """Returns whether it is safe to stop, and why."""
    decision = found.decision
    if found.status == ABTestStatus.COMPLETED:
        return _ended(found)
    if decision.conclusion == Conclusion.MISMATCH:
        return _(
            "Not safe to stop: the groups do not have the sizes of their weights, so people were"
            " lost or counted twice. Look for the cause; no winner is named."
        )
    if decision.conclusion == Conclusion.WINNER:
        return _("Safe to stop: %(winner)s is better, at any look.") % {"winner": decision.winner}
    if decision.conclusion == Conclusion.NO_DIFFERENCE:
        return _("Safe to stop: the variants differ by less than the difference of interest.")
    more = decision.more_people
    if more is None:
        return _("Not safe to stop: the figures say too little so far.")
    return ngettext(
        "Not safe to stop: a winner needs about %(count)d more person.",
        "Not safe to stop: a winner needs about %(count)d more people.",
        more,
    ) % {"count": more}


def _ended(found: ABTestResultsResponse) -> str:
    if found.winner:
        return _("It has ended. The winner is %(winner)s.") % {"winner": found.winner}
    return _("It has ended without a winner.")
