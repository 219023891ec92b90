"""AdministratorService: creates members of staff with a password, from the command line."""

from __future__ import annotations

import secrets

from allauth.mfa.models import Authenticator
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from directory.models import StaffRole, User
from directory.models.user import Role
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.features.access.callers import forget_callers
from notifications.features.access.sign_in.sign_ins import end_everything
from notifications.features.access.staff import check_rights
from notifications.infra import clock
from notifications.models.audit.actions import Values, record_action

MOST_BREAK_GLASS = 2


class AdministratorService:
    """Creates members of staff and changes passwords; generates a password when it is empty."""

    def create(
        self,
        *,
        username: str,
        email: str = "",
        password: str = "",
        role: str = StaffRole.ADMIN,
        caller: Caller,
    ) -> str:
        """Creates a member of staff. Returns the password; only its hash is stored.

        Raises:
            Conflict: username_taken.
            InvalidRequest: with every error of username, email and password.
            Refused: role_above_own.
        """
        check_rights(caller, role)
        if User.objects.filter(username=username).exists():
            raise Conflict(
                f"the user {username!r} exists already: choose another name, or change the"
                " password with `carillon admin password`",
                code="username_taken",
            )
        chosen = password or secrets.token_urlsafe(15)
        admin = User(username=username, email=email, role=Role.ADMIN, staff_role=role)
        _check(admin, chosen)
        admin.set_password(chosen)
        with transaction.atomic():
            admin.save()
            _log_action(caller, "admin.created", admin, after={"staff_role": role})
        return chosen

    def change_password(self, *, username: str, password: str = "", caller: Caller) -> str:
        """Sets the password of a user and returns it. All earlier sign-ins and tokens end.

        Raises:
            NotFound: unknown_user.
            InvalidRequest: the password is too weak.
        """
        user = User.objects.filter(username=username).first()
        if user is None:
            raise NotFound(f"there is no user {username!r}", code="unknown_user")
        chosen = password or secrets.token_urlsafe(15)
        check_password(chosen, user)
        user.set_password(chosen)
        with transaction.atomic():
            user.save(update_fields=["password"])
            end_everything(user, now=clock.now())
            _log_action(caller, "admin.password", user)
            forget_callers()
        return chosen

    def remove_factors(self, *, username: str, caller: Caller) -> int:
        """Removes all second factors of a user who lost them, and ends all sign-ins and tokens.

        Returns the number of factors; recovery codes count as one.

        Raises:
            NotFound: unknown_user.
        """
        user = User.objects.filter(username=username).first()
        if user is None:
            raise NotFound(f"there is no user {username!r}", code="unknown_user")
        with transaction.atomic():
            count: int = Authenticator.objects.filter(user_id=user.pk).delete()[0]
            end_everything(user, now=clock.now())
            _log_action(caller, "admin.factors_removed", user, before={"factors": count})
            forget_callers()
        return count

    def set_break_glass(self, *, username: str, enabled: bool, caller: Caller) -> None:
        """Lets an administrator sign in with a password while single sign-on is enforced.

        Raises:
            NotFound: unknown_user.
            Conflict: break_glass_limit: two accounts have it already.
            InvalidRequest: the user is no active administrator.
        """
        with transaction.atomic():
            admins = User.objects.select_for_update().filter(staff_role=StaffRole.ADMIN)
            others = [each for each in admins.order_by("pk") if each.break_glass]
            user = User.objects.filter(username=username).first()
            if user is None:
                raise NotFound(f"there is no user {username!r}", code="unknown_user")
            if enabled:
                _check_break_glass(user, others)
            before, user.break_glass = user.break_glass, enabled
            user.save(update_fields=["break_glass"])
            _log_action(
                caller,
                "admin.break_glass",
                user,
                before={"break_glass": before},
                after={"break_glass": enabled},
            )


def _check_break_glass(user: User, others: list[User]) -> None:
    if user.staff_role != StaffRole.ADMIN or not user.is_active:
        raise InvalidRequest([FieldError("username", "invalid", "must be an active administrator")])
    if len([each for each in others if each.pk != user.pk]) >= MOST_BREAK_GLASS:
        raise Conflict(
            f"{MOST_BREAK_GLASS} users have a break-glass account already: end one with --off",
            code="break_glass_limit",
        )


def check_password(password: str, user: User | None = None) -> None:
    """Raises InvalidRequest (weak_password) for a password that is guessed too easily."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidRequest([_weak_password(error)]) from error


def _check(admin: User, password: str) -> None:
    errors = []
    if not admin.username.isprintable() or not admin.username.strip():
        errors.append(FieldError("username", "invalid", "must be 1 to 150 visible characters"))
    try:
        admin.full_clean(exclude=["password"], validate_unique=False)
    except ValidationError as error:
        for name, texts in error.message_dict.items():
            errors.append(FieldError(name, "invalid", " ".join(texts)))
    try:
        validate_password(password, admin)
    except ValidationError as error:
        errors.append(_weak_password(error))
    if errors:
        raise InvalidRequest(errors)


def _weak_password(error: ValidationError) -> FieldError:
    return FieldError("password", "weak_password", " ".join(error.messages))


def _log_action(
    caller: Caller, action: str, user: User, *, before: Values = None, after: Values = None
) -> None:
    record_action(
        actor=caller.name,
        action=action,
        target=f"user:{user.pk}",
        at=clock.now(),
        subject_id=user.pk,
        before=before,
        after=after,
    )
