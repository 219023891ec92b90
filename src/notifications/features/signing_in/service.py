"""SignInService: lists sign-ins and ends them."""

from __future__ import annotations

from django.db import transaction

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.identifiers import parse_key
from notifications.domain.scopes import STAFF_SCOPE
from notifications.features.access.authentication import Authenticated
from notifications.features.access.callers import forget_callers
from notifications.features.access.persons import person_for
from notifications.features.access.service import check_test_key
from notifications.features.access.sign_in.sign_ins import end_everything, end_sign_ins
from notifications.features.signing_in.schemas import SignInResponse
from notifications.infra import clock
from notifications.models import PersonToken, SignIn
from notifications.models.audit.actions import record_action

_COMPUTED = frozenset({"current"})


class SignInService:
    """The sign-ins of a person: their own; with the scope `staff:write`, those of any other."""

    def list(
        self,
        *,
        caller: Caller,
        user_id: object = None,
        after: int = 0,
        limit: int = 50,
        current: int | None = None,
    ) -> list[SignInResponse]:
        """Returns the live sign-ins of a person by ascending id.

        Args:
            user_id: whose; the caller's own where it is empty.
            current: the id of the sign-in of this request.

        Raises:
            Refused: missing_scope. NotFound: unknown_user. InvalidRequest: required, for a key.
        """
        user = _person(caller, user_id)
        rows = SignIn.objects.live(clock.now()).filter(user=user, pk__gt=after).order_by("pk")
        return [_response(row, current=current) for row in rows[:limit]]

    def end(self, *, identifier: str, caller: Caller) -> None:
        """Ends one sign-in: at once in this process, and within a second elsewhere.

        Raises:
            NotFound: unknown_sign_in, also for another person's without the right.
        """
        key = parse_key(identifier)
        rows = SignIn.objects.filter(pk=key) if key is not None else SignIn.objects.none()
        check_test_key(caller, is_test=False)
        with transaction.atomic():
            row = rows.select_for_update().first()
            is_own = row is not None and row.user_id == caller.user_id
            if row is None or not (is_own or caller.may(STAFF_SCOPE)):
                raise NotFound("there is no such sign-in of yours", code="unknown_sign_in")
            self._end(row, caller)

    def log_out(self, found: Authenticated, *, everywhere: bool = False) -> int:
        """Ends the sign-in of a request, or everything of its person; returns how much.

        Raises:
            Conflict: no_sign_in, for a token of the platform or an API key.
        """
        user, caller = found.user, found.caller
        if user is None:
            raise Conflict("a key has no sign-in: revoke it instead", code="no_sign_in")
        if everywhere:
            return self.end_all(user, caller=caller)
        if found.kind == "token":
            with transaction.atomic():
                ended = PersonToken.objects.filter(key_hash=found.row).delete()[0]
                self._record(caller, "sign-in.ended", f"user:{user.pk}", user.pk)
                forget_callers()
            return ended
        family = found.origin.family if found.origin is not None else None
        if family is None:
            raise Conflict(
                "this token belongs to no sign-in of this service, and ends with its time: send"
                ' {"everywhere": true} to end all tokens that you have now',
                code="no_sign_in",
            )
        self.end(identifier=str(family), caller=caller)
        return 1

    def revoke_tokens(self, *, user_id: object, caller: Caller) -> int:
        """Ends all sign-ins and tokens of a person, those that the platform issued until now too.

        Raises:
            Refused: missing_scope, staff_protected. NotFound: unknown_user.
        """
        check_test_key(caller, is_test=False)
        user = person_for(caller, user_id, scope="users:write")
        return self.end_all(user, caller=caller)

    def end_all(self, user: User, *, caller: Caller) -> int:
        """Ends all sign-ins and tokens of a person; returns their number."""
        with transaction.atomic():
            ended = end_everything(user, now=clock.now())
            self._record(caller, "tokens.revoked", f"user:{user.pk}", user.pk)
            forget_callers()
        return ended

    def _end(self, row: SignIn, caller: Caller) -> None:
        end_sign_ins(SignIn.objects.filter(pk=row.pk))
        self._record(caller, "sign-in.ended", f"sign-in:{row.pk}", row.user_id, row)
        forget_callers()

    def _record(
        self,
        caller: Caller,
        action: str,
        target: str,
        subject: int,
        row: SignIn | None = None,
    ) -> None:
        record_action(
            actor=caller.name,
            action=action,
            target=target,
            at=clock.now(),
            subject_id=subject,
            before=None if row is None else row.facts(),
        )


def _person(caller: Caller, user_id: object) -> User:
    """Returns whose sign-ins are meant. Another person's are for those who manage staff."""
    return person_for(caller, user_id, scope=STAFF_SCOPE)


def _response(row: SignIn, *, current: int | None) -> SignInResponse:
    names = [name for name in SignInResponse.__struct_fields__ if name not in _COMPUTED]
    return SignInResponse(**{name: getattr(row, name) for name in names}, current=row.pk == current)
