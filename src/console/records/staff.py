"""Members of staff: their roles, and the end of their sessions."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.faults import unknown_action
from console.guard import Visit
from console.paging import PAGE_ROWS, after_of, listed
from console.shell import act, page, url_with
from directory.models import StaffRole
from notifications.domain.staff_rights import rights_of
from notifications.features.access.staff import StaffService
from notifications.features.signing_in.service import SignInService
from notifications.models import StaffGroup

PATH = "/console/staff"
_NO_ROLE = "none"


def staff(visit: Visit) -> HttpResponse:
    """Shows members of staff, the oldest first."""
    role = visit.given("role")
    role = role if role in StaffRole.values else ""
    found = StaffService().list(
        caller=visit.caller, role=role, after=after_of(visit), limit=PAGE_ROWS + 1
    )
    context: dict[str, Any] = {
        **listed(visit, PATH, found, lambda row: row.user_id, {"role": role}),
        "roles": [(_("All"), PATH, not role)]
        + [(each, url_with(PATH, role=each), each == role) for each in StaffRole.values],
    }
    return page(visit, "records/staff.html", context, section="staff")


def member(visit: Visit, number: int) -> HttpResponse:
    """Shows one member of staff with the sign-ins; a POST gives a role, or ends sign-ins."""
    found = StaffService().get(identifier=number, caller=visit.caller)
    path = f"{PATH}/{number}"
    if visit.is_post:
        is_gone = visit.given("action") == "role" and visit.given("role") == _NO_ROLE
        back = PATH if is_gone else path
        return act(visit, lambda: _work(visit, number), back=back, back_if_refused=path)
    sign_ins = SignInService().list(
        caller=visit.caller, user_id=number, after=after_of(visit), limit=PAGE_ROWS + 1
    )
    groups = StaffGroup.objects.filter(pk__in=found.group_ids).order_by("pk")
    context: dict[str, Any] = {
        "member": found,
        "rights": sorted(rights_of(found.staff_role)),
        "groups": list(groups.values_list("name", flat=True)),
        "roles": StaffRole.values,
        "no_role": _NO_ROLE,
        **listed(visit, path, sign_ins, lambda row: row.id),
        "is_self": number == visit.user.pk,
    }
    return page(visit, "records/member.html", context, section="staff")


def _work(visit: Visit, number: int) -> str:
    action = visit.given("action")
    if action == "role":
        role = visit.given("role")
        StaffService().set_role(
            identifier=number, role=None if role == _NO_ROLE else role, caller=visit.caller
        )
        return _("The role was set. It holds within a second.")
    if action == "end":
        SignInService().end(identifier=visit.given("sign_in"), caller=visit.caller)
        return _("The sign-in has ended.")
    if action == "end-all":
        count = SignInService().revoke_tokens(user_id=number, caller=visit.caller)
        return ngettext(
            "%(count)d sign-in or token has ended.",
            "%(count)d sign-ins and tokens have ended.",
            count,
        ) % {"count": count}
    raise unknown_action()
