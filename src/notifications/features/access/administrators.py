"""AdministratorService: creates the users who may do everything, from the command line."""

from __future__ import annotations

import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from directory.models import User
from directory.models.user import Role
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, FieldError, InvalidRequest, NotFound
from notifications.infra import clock
from notifications.models.audit.actions import record_action


class AdministratorService:
    """Creates administrators and changes their passwords; generates a password when it is empty."""

    def create(self, *, username: str, email: str = "", password: str = "", caller: Caller) -> str:
        """Creates an administrator. Returns the password; only its hash is stored.

        Raises:
            Conflict: username_taken.
            InvalidRequest: with every error of username, email and password.
        """
        if User.objects.filter(username=username).exists():
            raise Conflict(
                f"the user {username!r} exists already: choose another name, or change the"
                " password with `carillon admin password`",
                code="username_taken",
            )
        chosen = password or secrets.token_urlsafe(15)
        admin = User(username=username, email=email, role=Role.ADMIN)
        admin.is_staff = admin.is_superuser = True
        _check(admin, chosen)
        admin.set_password(chosen)
        with transaction.atomic():
            admin.save()
            _log_action(caller, "admin.created", admin)
        return chosen

    def change_password(self, *, username: str, password: str = "", caller: Caller) -> str:
        """Sets the password of a user and returns it. All earlier refresh tokens end.

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
            _log_action(caller, "admin.password", user)
        return chosen


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


def _log_action(caller: Caller, action: str, user: User) -> None:
    record_action(
        actor=caller.name,
        action=action,
        target=f"user:{user.pk}",
        at=clock.now(),
        subject_id=user.pk,
    )
