"""PrivacyService: erases people and addresses, shows certificates, places legal holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from django.db import connection, transaction

from directory.addresses import AddressFault, read_address
from notifications.domain.callers import Caller
from notifications.domain.channels import KIND_OF_ADDRESS
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.domain.identifiers import parse_identifier
from notifications.features.access.callers import forget_callers
from notifications.features.access.persons import is_protected, person_for, protected_staff_error
from notifications.features.access.service import require_scope
from notifications.features.access.staff import check_other_admin
from notifications.features.privacy.request import erase_address, erase_person, prepare_held
from notifications.features.privacy.schemas import (
    CertificateResponse,
    EraseAddressBody,
    ErasureResponse,
    HoldResponse,
)
from notifications.infra import clock
from notifications.models import Erasure, LegalHold
from notifications.models.audit.actions import record_change

Row = TypeVar("Row", Erasure, LegalHold)
ERASE, HOLD = "privacy:erase", "privacy:hold"
_RESIDUES = [
    "backups: unreadable, because the keys are deleted; copies of the key store are to be deleted"
    " within 7 days",
    "consent records: the number of the person, the purpose, the wording and the time, as evidence",
    "suppressions: a keyed hash of each address, its kind and the date",
    "raw receipts of vendors, and stored responses of other callers: sealed under the service's own"
    " key, until their retention ends",
    "memory of processes: values used last, until others replace them or the process ends",
]
_DEAD_ROWS = (
    "PostgreSQL: dead rows until the next vacuum, and their bytes until the page is used again and"
    " the write-ahead log is recycled; without the keys, which the master key wraps, unreadable"
)
_LOGS = "SQLite: earlier pages in the write-ahead log, for an hour at most while a reader uses it"


class PrivacyService:
    """Erasure, certificates and legal holds, for staff and for keys with the scopes."""

    def erase_user(self, *, identifier: object, reason: str, caller: Caller) -> ErasureResponse:
        """Stops all sending to a user, and begins the erasure.

        Raises:
            NotFound (unknown_user), Refused (missing_scope), Conflict (erasure_open, last_admin).
            Refused: staff_protected, for a member of staff unless the caller is an admin.
        """
        require_scope(caller, ERASE)
        user = person_for(caller, identifier, scope=ERASE)
        if is_protected(user, caller):
            raise protected_staff_error()
        with transaction.atomic():
            check_other_admin(user)
            erasure = erase_person(user, reason=reason, actor=caller.name, now=clock.now())
        forget_callers()
        return _erasure(erasure)

    def erase_address(self, *, body: EraseAddressBody, caller: Caller) -> ErasureResponse:
        """Begins the erasure of an address that belongs to no user.

        Raises:
            InvalidRequest, Refused (missing_scope), Conflict (address_of_user, not_sealed).
        """
        require_scope(caller, ERASE)
        given = {
            name: text for name in KIND_OF_ADDRESS if (text := getattr(body, name)) is not None
        }
        if len(given) != 1:
            detail = "name exactly one of email, phone and telegram_id"
            raise InvalidRequest([FieldError("email", "one_address", detail)])
        ((name, text),) = given.items()
        kind = KIND_OF_ADDRESS[name]
        try:
            address = read_address(kind, text)
        except AddressFault as fault:
            raise InvalidRequest([FieldError(name, "invalid", fault.in_full)]) from fault
        return _erasure(
            erase_address(
                KIND_OF_ADDRESS[name],
                address,
                reason=body.reason,
                actor=caller.name,
                now=clock.now(),
            )
        )

    def certificate(self, *, identifier: str, caller: Caller) -> CertificateResponse:
        """Returns the certificate of an erasure.

        Raises:
            NotFound (unknown_certificate), Refused (missing_scope).
        """
        require_scope(caller, ERASE)
        erasure = _named(Erasure, identifier)
        if erasure is None:
            raise NotFound(f"there is no certificate {identifier}", code="unknown_certificate")
        return certificate_of(erasure)

    def erasures(self, *, caller: Caller, after: int = 0, limit: int = 50) -> Sequence[Erasure]:
        """Returns erasures, the newest first; `after` is the key of the last one before.

        Raises:
            Refused: missing_scope.
        """
        require_scope(caller, ERASE)
        rows = Erasure.objects.order_by("-pk")
        rows = rows.filter(pk__lt=after) if after else rows
        return list(rows[: max(1, limit)])

    def holds(self, *, caller: Caller, after: int = 0, limit: int = 50) -> list[HoldResponse]:
        """Returns the legal holds, the oldest first."""
        require_scope(caller, HOLD)
        rows = LegalHold.objects.filter(pk__gt=after).order_by("pk")
        return [_hold(row) for row in rows[: max(1, limit)]]

    def place_hold(self, *, user: object, reason: str, caller: Caller) -> HoldResponse:
        """Places a legal hold on a user.

        Raises:
            NotFound (unknown_user), Refused (missing_scope).
        """
        require_scope(caller, HOLD)
        person, now = person_for(caller, user, scope=HOLD), clock.now()
        with transaction.atomic():
            hold = LegalHold.objects.create(
                user_id=person.pk, reason=reason, actor=caller.name, created_at=now
            )
            _record(caller, "hold.placed", hold, after={"reason": reason})
        return _hold(hold)

    def end_hold(self, *, identifier: str, caller: Caller) -> None:
        """Ends a legal hold. An erasure that waits for it goes on.

        Raises:
            NotFound (unknown_hold), Refused (missing_scope).
        """
        require_scope(caller, HOLD)
        with transaction.atomic():
            hold = _named(LegalHold, identifier)
            if hold is None:
                raise NotFound(f"there is no legal hold {identifier}", code="unknown_hold")
            user_id = hold.user_id
            _record(caller, "hold.ended", hold, before={"reason": hold.reason})
            hold.delete()
            if not LegalHold.objects.filter(user_id=user_id).exists():
                waiting = Erasure.objects.filter(
                    user_id=user_id, state=Erasure.State.WAITING_FOR_HOLD
                )
                for erasure in waiting:
                    prepare_held(erasure, now=clock.now())


def _named(model: type[Row], identifier: str) -> Row | None:
    """Returns the row with a public id; None where there is none."""
    key = parse_identifier(identifier)
    return model._default_manager.filter(uuid=key).first() if isinstance(key, UUID) else None


def certificate_of(erasure: Erasure) -> CertificateResponse:
    """Returns the certificate of an erasure."""
    in_files = _DEAD_ROWS if connection.vendor == "postgresql" else _LOGS
    return CertificateResponse(
        certificate_id=erasure.uuid,
        state=erasure.state,
        user_id=erasure.user_id,
        user_uuid=erasure.person,
        kind=erasure.kind or None,
        reason=erasure.reason,
        actor=erasure.actor,
        requested_at=erasure.requested_at,
        keys_erased_at=erasure.keys_erased_at,
        finished_at=erasure.finished_at,
        keys=[str(key) for key in erasure.key_ids],
        in_flight=[str(key) for key in erasure.in_flight],
        removed=erasure.removed,
        residues=[*_RESIDUES, in_files],
    )


def _erasure(erasure: Erasure) -> ErasureResponse:
    return ErasureResponse(certificate_id=erasure.uuid, state=erasure.state)


def _hold(hold: LegalHold) -> HoldResponse:
    return HoldResponse(
        id=hold.uuid,
        number=hold.pk,
        user_id=hold.user_id,
        reason=hold.reason,
        actor=hold.actor,
        created_at=hold.created_at,
    )


def _record(
    caller: Caller,
    action: str,
    hold: LegalHold,
    *,
    before: dict[str, str] | None = None,
    after: dict[str, str] | None = None,
) -> None:
    record_change(
        actor=caller.name,
        action=action,
        target=f"hold:{hold.uuid}",
        at=clock.now(),
        subject_id=hold.user_id,
        before=before,
        after=after,
    )
