"""ExportService: requests, shows and hands over exports of a person's data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from directory.models import User
from notifications.domain.callers import Caller
from notifications.domain.errors import Conflict, NotFound, Refused
from notifications.domain.identifiers import parse_identifier
from notifications.features.access.persons import is_protected, person_for
from notifications.features.access.throttles import throttled_error
from notifications.features.privacy.export.building import stored_pages
from notifications.features.privacy.export.schemas import (
    ExportAccepted,
    ExportLinks,
    ExportResponse,
)
from notifications.features.privacy.export.sections import read_pages
from notifications.features.privacy.export.writing import ExportHead, written
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import DataExport, Erasure, ErasureState, ExportState
from notifications.models.audit.actions import record_change

EXPORT = "privacy:export"
LIFETIME = timedelta(hours=24)
FRESH = timedelta(hours=1)
EXPORTS_A_DAY = 3
_DAY = timedelta(days=1)
_PATH = "/api/v1/privacy/exports"


class ExportService:
    """Exports for the person, for staff, and for keys with the scope."""

    def request(self, *, identifier: object, caller: Caller) -> ExportAccepted:
        """Requests an export; returns one that is being written, or ready for less than an hour.

        Raises:
            NotFound (unknown_user), Refused (missing_scope, staff_protected),
            Conflict (erasure_open), Throttled (too_many_exports).
        """
        user = _person(caller, identifier)
        export = request_export(user, actor=caller.name, own=caller.user_id == user.pk)
        return ExportAccepted(export_id=export.uuid, state=export.state)

    def find(self, *, identifier: str, caller: Caller) -> ExportResponse:
        """Returns an export: the caller's own, or any with the scope.

        Raises:
            NotFound (unknown_export), Refused (staff_protected).
        """
        return _response(_visible(identifier, caller))

    def download(self, *, identifier: str, form: str, caller: Caller) -> Iterator[bytes]:
        """Returns the parts of a file, and records the download.

        Raises:
            NotFound (unknown_export), Refused (staff_protected), Conflict (export_not_ready).
        """
        export = _visible(identifier, caller)
        return download_export(export, form, actor=caller.name)

    def print(self, *, identifier: object, form: str, caller: Caller) -> Iterator[bytes]:
        """Returns the parts of a file that is made while it is read, and stored nowhere.

        Raises:
            NotFound (unknown_user), Refused (missing_scope, staff_protected).
        """
        user = _person(caller, identifier)
        _record(caller.name, "export.printed", f"user:{user.pk}", user.pk)
        own = caller.user_id == user.pk
        return written(form, _head(user, own, clock.now()), read_pages(user.pk, own=own))


def _person(caller: Caller, identifier: object) -> User:
    user = person_for(caller, identifier, scope=EXPORT)
    _check_not_staff(user, caller)
    return user


def _check_not_staff(user: User, caller: Caller) -> None:
    """Raises Refused where a caller who is no admin would read the data of a member of staff."""
    if is_protected(user, caller):
        raise Refused("only an admin may export a member of staff", code="staff_protected")


def request_export(user: User, *, actor: str, own: bool) -> DataExport:
    """Returns the open or fresh export of a person, created where there is none.

    The person's own exports and those of others are counted apart, so that others cannot use up
    what the person may request.

    Raises:
        Conflict: erasure_open. Throttled: too_many_exports, after three within a day.
    """
    now = clock.now()
    erasing = (ErasureState.REQUESTED, ErasureState.KEYS_ERASED)
    if Erasure.objects.filter(user_id=user.pk, state__in=erasing).exists():
        raise Conflict("this person is being erased", code="erasure_open")
    found = _current(user, own=own, now=now)
    if found is not None:
        return found
    _check_count(user, own=own, now=now)
    try:
        with transaction.atomic():
            DataExport.objects.filter(user_id=user.pk, own=own, expires_at__lte=now).delete()
            export = DataExport.objects.create(
                user_id=user.pk,
                actor=actor,
                own=own,
                state=ExportState.REQUESTED,
                requested_at=now,
                expires_at=now + LIFETIME,
                next_at=now,
            )
            _record(actor, "export.requested", f"export:{export.uuid}", user.pk)
            return export
    except IntegrityError:  # another request created it at the same time
        return DataExport.objects.get(user_id=user.pk, own=own, state=ExportState.REQUESTED)


def _current(user: User, *, own: bool, now: datetime) -> DataExport | None:
    rows = DataExport.objects.filter(user_id=user.pk, own=own, expires_at__gt=now)
    fresh = Q(state=ExportState.REQUESTED) | Q(ready_at__gt=now - FRESH)
    return rows.filter(fresh).order_by("-pk").first()


def _check_count(user: User, *, own: bool, now: datetime) -> None:
    rows = DataExport.objects.filter(user_id=user.pk, own=own, requested_at__gt=now - _DAY)
    times = list(rows.order_by("requested_at").values_list("requested_at", flat=True))
    if len(times) >= EXPORTS_A_DAY:
        left = (times[-EXPORTS_A_DAY] + _DAY - now).total_seconds()
        detail = f"{EXPORTS_A_DAY} exports of this person were written within a day"
        raise throttled_error(detail, seconds=left, code="too_many_exports")


def download_export(export: DataExport, form: str, *, actor: str) -> Iterator[bytes]:
    """Returns the parts of a file of an export, and records the download.

    Raises:
        Conflict: export_not_ready. NotFound: unknown_export, where the person was erased.
    """
    if export.state != ExportState.READY:
        raise Conflict("the export is still being written", code="export_not_ready")
    user = User.objects.filter(pk=export.user_id).first()
    if user is None:
        raise _unknown(str(export.uuid))
    _record(actor, "export.downloaded", f"export:{export.uuid}", export.user_id)
    head = _head(user, export.own, export.ready_at or clock.now())
    return written(form, head, stored_pages(export))


def _visible(identifier: str, caller: Caller) -> DataExport:
    key = parse_identifier(identifier)
    rows = DataExport.objects.filter(expires_at__gt=clock.now())
    export = rows.filter(uuid=key).first() if isinstance(key, UUID) else None
    mine = export is not None and export.own and export.user_id == caller.user_id
    theirs = export is not None and not export.own and caller.may(EXPORT)
    if export is None or not (mine or theirs):
        raise _unknown(identifier)
    user = User.objects.filter(pk=export.user_id).first()
    if user is not None:
        _check_not_staff(user, caller)
    return export


def _unknown(identifier: str) -> NotFound:
    return NotFound(f"there is no export {identifier}", code="unknown_export")


def _head(user: User, own: bool, at: datetime) -> ExportHead:
    return ExportHead(
        user_id=user.pk,
        user_uuid=user.uuid,
        own=own,
        exported_at=at,
        service=environment().app_name,
        locale=user.locale,
    )


def _record(actor: str, action: str, target: str, user_id: int) -> None:
    record_change(actor=actor, action=action, target=target, at=clock.now(), subject_id=user_id)


def _response(export: DataExport) -> ExportResponse:
    links = None
    if export.state == ExportState.READY:
        path = f"{_PATH}/{export.uuid}"
        links = ExportLinks(json=f"{path}/json", html=f"{path}/html")
    return ExportResponse(
        export_id=export.uuid,
        state=export.state,
        user_id=export.user_id,
        requested_at=export.requested_at,
        ready_at=export.ready_at,
        expires_at=export.expires_at,
        parts=export.parts,
        links=links,
    )
