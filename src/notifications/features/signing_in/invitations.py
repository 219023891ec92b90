"""Invitations: the one way to an account of staff. A link by mail is accepted once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NoReturn

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from directory.models import User
from directory.models.staff import StaffRole
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_key
from notifications.domain.scopes import STAFF_SCOPE
from notifications.features.access.administrators import check_password
from notifications.features.access.callers import forget_callers
from notifications.features.access.principals import caller_by_name
from notifications.features.access.service import check_test_key, require_scope
from notifications.features.access.sign_in.rules import is_active_staff
from notifications.features.access.sign_in.sign_ins import end_everything
from notifications.features.access.staff import check_everywhere, check_rights, has_rights
from notifications.features.signing_in.mails import send_invitation, send_notice
from notifications.features.signing_in.schemas import InvitationBody, InvitationResponse
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.links import LinkKind, read_link, sign_link
from notifications.models import StaffGroup, StaffGroupMember, StaffInvitation
from notifications.models.audit.actions import record_action

MOST_OPEN = 1_000
"""Invitations that may wait at the same time."""
_COMMAND_LINE = "cli"
"""Who invites by `carillon admin invite`: a person at the machine keeps every right."""


class InvitationService:
    """Invites members of staff. It needs the scope `staff:write`, and the rights of the role."""

    def invite(self, body: InvitationBody, *, caller: Caller) -> InvitationResponse:
        """Stores an invitation and sends its link. An earlier one to the same address ends.

        Raises:
            Refused: missing_scope, role_above_own, wider_than_own, test_key.
            InvalidRequest: with every error of the fields.
            NotFound: unknown_user. Conflict: too_many.
        """
        require_scope(caller, STAFF_SCOPE)
        now = clock.now()
        email = body.email.strip().lower()
        _check(body, email)
        user = _member(body.member_id) if body.member_id is not None else None
        role = (user.staff_role if user is not None else None) or body.role
        _check_right(caller, role)
        check_everywhere(caller)
        with transaction.atomic():
            StaffInvitation.objects.open(now).filter(email=email).delete()
            if StaffInvitation.objects.open(now).count() >= MOST_OPEN:
                raise Conflict("too many invitations are open: revoke some", code="too_many")
            made = StaffInvitation.objects.create(
                email=email,
                role=role,
                groups=sorted(set(body.groups)),
                locale=body.locale,
                invited_by=caller.name,
                user=user,
                created_at=now,
                expires_at=now + timedelta(hours=environment().invitation_hours),
            )
            _record(
                caller.name, "staff.invited", made, after={"role": made.role, "groups": made.groups}
            )
            send_invitation(email, link_of(made), locale=body.locale)
        return _response(made)

    def list(self, *, caller: Caller, after: int = 0, limit: int = 50) -> list[InvitationResponse]:
        """Returns invitations by ascending id, accepted ones and those that are over, too."""
        require_scope(caller, STAFF_SCOPE)
        rows = StaffInvitation.objects.filter(pk__gt=after).order_by("pk")[:limit]
        return [_response(row) for row in rows]

    def revoke(self, *, identifier: str, caller: Caller) -> None:
        """Deletes an invitation that was not accepted: its link opens nothing.

        Raises:
            Refused: missing_scope, role_above_own, test_key. NotFound: unknown_invitation.
            Conflict: invitation_accepted.
        """
        require_scope(caller, STAFF_SCOPE)
        key = parse_key(identifier)
        with transaction.atomic():
            rows = StaffInvitation.objects.select_for_update()
            row = rows.filter(pk=key).first() if key is not None else None
            if row is None:
                raise NotFound("there is no such invitation", code="unknown_invitation")
            if row.accepted_at is not None:
                raise Conflict(
                    "it was accepted: end the person's access instead", code="invitation_accepted"
                )
            _check_right(caller, row.role)
            _record(caller.name, "staff.invitation_revoked", row, before={"role": row.role})
            row.delete()


def _check_right(caller: Caller, role: str | None) -> None:
    require_scope(caller, STAFF_SCOPE)
    check_test_key(caller, is_test=False)
    check_rights(caller, role)


def _check(body: InvitationBody, email: str) -> None:
    errors = []
    try:
        validate_email(email)
    except ValidationError:
        errors.append(FieldError("email", "invalid_address", "must be an email address"))
    if body.role not in StaffRole.values:
        known = ", ".join(StaffRole.values)
        errors.append(FieldError("role", "invalid_choice", f"must be one of {known}"))
    known_groups = set(StaffGroup.objects.filter(pk__in=body.groups).values_list("pk", flat=True))
    unknown = sorted(set(body.groups) - known_groups)
    if unknown:
        errors.append(FieldError("groups", "unknown_group", f"there is no group {unknown[0]}"))
    if errors:
        raise InvalidRequest(errors)


def _member(number: int) -> User:
    user = User.objects.filter(pk=number).first()
    if user is None or not is_active_staff(user):
        raise NotFound(f"there is no member of staff {number}", code="unknown_user")
    return user


def link_of(invitation: StaffInvitation) -> str:
    """Returns the link that accepts an invitation."""
    token = sign_link(LinkKind.INVITATION, str(invitation.pk), _time_of(invitation))
    return f"{environment().public_url}/invitation/{token}"


def _time_of(invitation: StaffInvitation) -> str:
    return str(clock.epoch_ms(invitation.created_at))


def read_invitation(token: str, *, now: datetime) -> StaffInvitation | None:
    """Returns the invitation of a link; None where the link is forged, used, revoked or over."""
    fields = read_link(LinkKind.INVITATION, token, 2)
    if fields is None:
        return None
    row = StaffInvitation.objects.open(now).filter(pk=int(fields[0])).first()
    return row if row is not None and _time_of(row) == fields[1] and _holds(row) else None


def _holds(row: StaffInvitation) -> bool:
    """Returns whether an invitation gives what its inviter may still give.

    Who lost the right to invite could return by a link that they sent to themselves. An existing
    member must have the role of then: a link to an author's account must not open an admin's.
    """
    if row.user is not None and (not is_active_staff(row.user) or row.user.staff_role != row.role):
        return False
    if row.invited_by == _COMMAND_LINE:
        return True
    inviter = caller_by_name(row.invited_by)
    return inviter is not None and inviter.may(STAFF_SCOPE) and has_rights(inviter, row.role)


def accept_by_password(
    invitation: StaffInvitation, *, username: str, password: str, now: datetime
) -> User:
    """Makes the account of an invited person, or gives an existing one a new password.

    Raises:
        InvalidRequest: username_taken, invalid, weak_password.
        NotFound: unknown_invitation: it was accepted or revoked meanwhile.
    """
    with transaction.atomic():
        row = _locked(invitation.pk, now)
        user = row.user or _new_account(row, username)
        check_password(password, user)
        user.set_password(password)
        _save(user, row)
        if row.user_id is not None:
            end_everything(user, now=now)
            send_notice(user, "password_set")  # the link may have gone to another address
        _accepted(row, user, now=now)
    return user


def accept_by_sign_on(number: int, *, now: datetime) -> User:
    """Makes the account of an invited person who comes by single sign-on; the caller binds it.

    Raises:
        NotFound: unknown_invitation. InvalidRequest: username_taken.
    """
    with transaction.atomic():
        row = _locked(number, now)
        user = row.user or _new_account(row, row.email)
        if row.user_id is None:
            user.set_unusable_password()
        _save(user, row)
        _accepted(row, user, now=now)
    return user


def _locked(number: int, now: datetime) -> StaffInvitation:
    rows = StaffInvitation.objects.open(now).select_for_update()
    row = rows.filter(pk=number).first()
    if row is None or not _holds(row):
        raise NotFound(
            "this invitation was used, revoked, or is over: request another",
            code="unknown_invitation",
        )
    return row


def _new_account(row: StaffInvitation, username: str) -> User:
    name = username.strip()
    if not name or len(name) > 150 or not name.isprintable():
        _refuse_name("invalid", "must be 1 to 150 visible characters")
    if User.objects.filter(username=name).exists():
        _refuse_name("username_taken", "this name is taken: choose another")
    return User(username=name, email=row.email, locale=row.locale, staff_role=row.role)


def _refuse_name(code: str, detail: str) -> NoReturn:
    raise InvalidRequest([FieldError("username", code, detail)])


def _save(user: User, row: StaffInvitation) -> None:
    """Saves the account; the person has shown that the address is theirs."""
    if user.pk is None:
        user.email_verified_at = clock.now()
    user.save()
    groups = StaffGroup.objects.filter(pk__in=row.groups)
    for group in groups:
        StaffGroupMember.objects.get_or_create(group=group, user=user)


def _accepted(row: StaffInvitation, user: User, *, now: datetime) -> None:
    row.accepted_at, row.user = now, user
    row.save(update_fields=["accepted_at", "user"])
    _record(f"user:{user.pk}", "staff.joined", row, after={"role": user.staff_role})
    forget_callers()


def _record(
    actor: str,
    action: str,
    row: StaffInvitation,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    record_action(
        actor=actor,
        action=action,
        target=f"invitation:{row.pk}",
        at=clock.now(),
        subject_id=row.user_id,
        before=before,
        after=after,
    )


def _response(row: StaffInvitation) -> InvitationResponse:
    return InvitationResponse(
        **{name: getattr(row, name) for name in InvitationResponse.__struct_fields__}
    )
