"""Routes of the audit log: entries, export, proofs, checkpoints, receipts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.response import CSV_TYPE
from notifications.api.route import ApiRequest, Download, Query, Route
from notifications.api.user_reference import USER_QUERY, user_named_by
from notifications.features.audit.queries import AuditFilter, audit_filter
from notifications.features.audit.schemas import (
    AuditEntryResponse,
    AuditProofResponse,
    CheckpointResponse,
    ConsistencyResponse,
    ReceiptResponse,
)
from notifications.features.audit.service import READ, AuditService
from notifications.features.preferences.consents import READ as CONSENT_READ
from notifications.features.preferences.consents import ConsentService
from notifications.features.sending.service import NotificationService
from notifications.infra.field_types import NextPage, PreviousPage


class AuditList(msgspec.Struct, kw_only=True):
    """A page of entries, the newest first."""

    results: list[AuditEntryResponse]
    """The entries of this page."""

    next: NextPage = None
    previous: PreviousPage = None


def entries(request: ApiRequest) -> AuditList:
    page = page_of(request)
    found = AuditService().list(
        wanted=_filter(request.query), caller=request.caller, after=page.after, limit=page.fetch
    )
    following, previous = links(request, page, [entry.id + 1 for entry in found])
    return AuditList(results=found[: page.limit], next=following, previous=previous)


def export(request: ApiRequest) -> Download:
    parts = AuditService().export(wanted=_filter(request.query), caller=request.caller)
    return Download(name="audit.ndjson", parts=parts)


def export_csv(request: ApiRequest) -> Download:
    parts = AuditService().export(wanted=_filter(request.query), caller=request.caller, form="csv")
    return Download(name="audit.csv", parts=parts)


def proof(request: ApiRequest) -> AuditProofResponse:
    return AuditService().proof(identifier=request.params["id"], caller=request.caller)


def checkpoint(request: ApiRequest) -> CheckpointResponse:
    return AuditService().checkpoint(caller=request.caller)


def consistency(request: ApiRequest) -> ConsistencyResponse:
    return AuditService().consistency(
        old=request.query["from"], new=request.query["to"], caller=request.caller
    )


def notification_receipt(request: ApiRequest) -> ReceiptResponse:
    return NotificationService().receipt(identifier=request.params["id"], caller=request.caller)


def consent_receipt(request: ApiRequest) -> ReceiptResponse:
    return ConsentService().receipt(identifier=request.params["id"], caller=request.caller)


def _filter(query: Mapping[str, Any]) -> AuditFilter:
    return audit_filter(
        actor=query["actor"],
        action=query["action"],
        target=query["target"],
        user=user_named_by(query),
        start=query["from"],
        end=query["to"],
    )


FILTER_QUERY = (
    Query(name="actor", about="Only changes by this actor, e.g. `user:1`, `key:3` or `cli`."),
    Query(name="action", about="Only this action, e.g. `category.changed`; `slice` for decisions."),
    Query(name="target", about="Only changes of this target, e.g. `category:homework`."),
    Query(name="from", about="Only entries since this time (RFC 3339)."),
    Query(name="to", about="Only entries before this time (RFC 3339)."),
)
ROUTES: tuple[Route, ...] = (
    Route(
        name="list_audit",
        method="GET",
        path="/api/v1/audit",
        handler=entries,
        summary="List who changed what, the newest first.",
        scope=READ,
        query=(*FILTER_QUERY, *USER_QUERY, *PAGE_QUERY),
        responses={200: AuditList},
    ),
    Route(
        name="export_audit",
        method="GET",
        path="/api/v1/audit/export",
        handler=export,
        summary="Export entries as JSON lines, the newest first.",
        scope=READ,
        query=(*FILTER_QUERY, *USER_QUERY),
        responses={200: None},
        media="application/x-ndjson",
    ),
    Route(
        name="export_audit_csv",
        method="GET",
        path="/api/v1/audit/export.csv",
        handler=export_csv,
        summary="Export entries as CSV, the newest first. No cell runs as a formula.",
        scope=READ,
        query=(*FILTER_QUERY, *USER_QUERY),
        responses={200: None},
        media=CSV_TYPE,
    ),
    Route(
        name="audit_checkpoint",
        method="GET",
        path="/api/v1/audit/checkpoint",
        handler=checkpoint,
        summary="Get the newest signed checkpoint, to store it elsewhere.",
        scope=READ,
        responses={200: CheckpointResponse},
        errors=(409,),
    ),
    Route(
        name="audit_consistency",
        method="GET",
        path="/api/v1/audit/consistency",
        handler=consistency,
        summary="Get the proof that a larger tree continues a smaller one.",
        scope=READ,
        query=(
            Query(
                name="from",
                about="The number of leaves of the smaller tree.",
                kind="integer",
                default=1,
                lowest=1,
            ),
            Query(
                name="to",
                about="The number of leaves of the larger tree; 0 for all.",
                kind="integer",
                default=0,
            ),
        ),
        responses={200: ConsistencyResponse},
        errors=(409,),
    ),
    Route(
        name="audit_proof",
        method="GET",
        path="/api/v1/audit/{id}/proof",
        handler=proof,
        summary="Get an entry with the proof that the newest checkpoint covers it.",
        scope=READ,
        responses={200: AuditProofResponse},
        errors=(404, 409),
    ),
    Route(
        name="notification_receipt",
        method="GET",
        path="/api/v1/notifications/{id}/receipt",
        handler=notification_receipt,
        summary="Get a receipt of every decision on it, which can be verified offline.",
        service_scope="notifications:read",
        responses={200: ReceiptResponse},
        errors=(404, 409),
    ),
    Route(
        name="consent_receipt",
        method="GET",
        path="/api/v1/consents/{id}/receipt",
        handler=consent_receipt,
        summary="Get a receipt of a consent or withdrawal, which can be verified offline.",
        service_scope=CONSENT_READ,
        responses={200: ReceiptResponse},
        errors=(404, 409),
    ),
)
