"""Approval: a second person releases a series, as one releases a campaign.

How many people a series will reach is not known before. So the size decides nothing, other than
with a broadcast: where the service has a limit at all, each series needs a second person.

An approval binds the contents: the template of each step, its version and its category. A series
whose template changed afterwards is paused at its next mail, and asks again.
"""

from __future__ import annotations

from collections.abc import Sequence

from directory.models import User
from notifications.domain.campaigns.lifecycle import CampaignApproval
from notifications.domain.errors import Conflict
from notifications.features.series.contents import StepContent
from notifications.features.series.versions import drop_requested_version
from notifications.infra.conf import environment
from notifications.models import MailSeries

LAUNCH, RESUME, CHANGE = "launch", "resume", "change"
"""What an approval releases."""
_A = CampaignApproval


class ApprovalOutdated(Exception):
    """What a series would send is not what was approved."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.detail = f"the template {path} changed after the approval: it needs it again"


def wrong_status(verb: str, row: MailSeries) -> Conflict:
    """Returns the error that the state of a series does not allow an action."""
    detail = f"cannot {verb} a series with status {row.status}"
    if row.approval == _A.REQUESTED:
        detail += ", which waits for approval"
    return Conflict(detail, code="series_status", status=row.status, approval=row.approval)


def needs_approval(row: MailSeries) -> bool:
    """Returns whether a second person must release what a series sends."""
    return row.needs_approval or environment().broadcast_approval_threshold > 0


def must_ask(row: MailSeries, contents: Sequence[StepContent]) -> bool:
    """Returns whether a second person must still release these contents."""
    return needs_approval(row) and not _named(contents) <= set(row.approved_contents or ())


def check_approved(row: MailSeries, content: StepContent) -> None:
    """Checks that an approved series sends what was approved.

    Raises:
        ApprovalOutdated: its template or category changed since.
    """
    approved = row.approved_contents
    if approved is not None and not _named([content]) <= set(approved):
        raise ApprovalOutdated(content.template.path)


def _named(contents: Sequence[StepContent]) -> set[str]:
    """Returns what an approval binds, as texts: template, version and category."""
    return {
        f"{each.template.pk}:{each.template.current_version_id}:{each.category.key}"
        for each in contents
    }


def request_approval(row: MailSeries, what: str) -> None:
    """Makes a series wait for approval; its state stays."""
    row.store(approval=_A.REQUESTED.value, requested=what)


def withdraw_request(row: MailSeries) -> None:
    """Ends a request, if there is one, with the steps that waited for it."""
    if not row.requested:
        return
    drop_requested_version(row)
    state = _A.NONE if row.approved_contents is None else _A.APPROVED
    row.store(approval=state.value, requested="")


def note_approval(row: MailSeries, contents: Sequence[StepContent], *, by: User) -> str:
    """Stores who approved these contents; returns what that releases.

    row: with the number of the requested version, where it has one.
    """
    requested = row.requested
    row.store(
        approval=_A.APPROVED.value,
        approved_by=by,
        approved_contents=sorted(_named(contents)),
        requested="",
        review_note="",
        version=row.version,
    )
    return requested


def reject(row: MailSeries, *, note: str) -> None:
    """Returns a request to its author, with the reason. What was approved before stays so.

    Raises:
        Conflict: series_status, where no approval is requested.
    """
    if row.approval != _A.REQUESTED:
        raise wrong_status("reject", row)
    drop_requested_version(row)
    row.store(approval=_A.REJECTED.value, review_note=note, requested="")
