"""Routes of exports, erasure, certificates and legal holds."""

from __future__ import annotations

import msgspec

from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Download, Route
from notifications.api.user_reference import user_in_body
from notifications.features.privacy.export.schemas import ExportAccepted, ExportResponse
from notifications.features.privacy.export.service import EXPORT, ExportService
from notifications.features.privacy.export.writing import MEDIA
from notifications.features.privacy.schemas import (
    CertificateResponse,
    EraseAddressBody,
    EraseBody,
    ErasureResponse,
    HoldBody,
    HoldResponse,
)
from notifications.features.privacy.service import ERASE, HOLD, PrivacyService
from notifications.infra.field_types import NextPage, PreviousPage


def request_export(request: ApiRequest) -> ExportAccepted:
    return ExportService().request(identifier=request.params["id"], caller=request.caller)


def get_export(request: ApiRequest) -> ExportResponse:
    return ExportService().find(identifier=request.params["id"], caller=request.caller)


def export_json(request: ApiRequest) -> Download:
    return _file(request, "json")


def export_html(request: ApiRequest) -> Download:
    return _file(request, "html")


def _file(request: ApiRequest, form: str) -> Download:
    parts = ExportService().download(
        identifier=request.params["id"], form=form, caller=request.caller
    )
    return Download(name=f"personal-data.{form}", parts=parts)


class HoldList(msgspec.Struct, kw_only=True):
    """A page of legal holds, the oldest first."""

    results: list[HoldResponse]
    """The holds of this page."""

    next: NextPage = None
    previous: PreviousPage = None


def erase_user(request: ApiRequest) -> ErasureResponse:
    body = check_body(request.body, EraseBody)
    return PrivacyService().erase_user(
        identifier=request.params["id"], reason=body.reason, caller=request.caller
    )


def erase_address(request: ApiRequest) -> ErasureResponse:
    body = check_body(request.body, EraseAddressBody)
    return PrivacyService().erase_address(body=body, caller=request.caller)


def certificate(request: ApiRequest) -> CertificateResponse:
    return PrivacyService().certificate(identifier=request.params["id"], caller=request.caller)


def holds(request: ApiRequest) -> HoldList:
    page = page_of(request)
    found = PrivacyService().holds(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [hold.number for hold in found])
    return HoldList(results=found[: page.limit], next=following, previous=previous)


def place_hold(request: ApiRequest) -> HoldResponse:
    body = check_body(request.body, HoldBody)
    return PrivacyService().place_hold(
        user=user_in_body(body), reason=body.reason, caller=request.caller
    )


def end_hold(request: ApiRequest) -> tuple[int, None]:
    PrivacyService().end_hold(identifier=request.params["id"], caller=request.caller)
    return 204, None


ROUTES: tuple[Route, ...] = (
    Route(
        name="request_export",
        method="POST",
        path="/api/v1/privacy/users/{id}/export",
        handler=request_export,
        summary="Request an export of everything that is stored about a user.",
        service_scope=EXPORT,
        responses={202: ExportAccepted},
        errors=(404, 409, 429),
        idempotent=True,
    ),
    Route(
        name="get_export",
        method="GET",
        path="/api/v1/privacy/exports/{id}",
        handler=get_export,
        summary="Get the state of an export, and the paths of its files.",
        service_scope=EXPORT,
        responses={200: ExportResponse},
        errors=(404,),
    ),
    Route(
        name="export_json",
        method="GET",
        path="/api/v1/privacy/exports/{id}/json",
        handler=export_json,
        summary="Download an export as JSON.",
        service_scope=EXPORT,
        responses={200: None},
        errors=(404, 409),
        media=MEDIA["json"],
    ),
    Route(
        name="export_html",
        method="GET",
        path="/api/v1/privacy/exports/{id}/html",
        handler=export_html,
        summary="Download an export as one page, in the language of the user.",
        service_scope=EXPORT,
        responses={200: None},
        errors=(404, 409),
        media=MEDIA["html"],
    ),
    Route(
        name="erase_user",
        method="POST",
        path="/api/v1/privacy/users/{id}/erase",
        handler=erase_user,
        summary="Erase a user: nothing is sent any more, then the keys and all rows are deleted.",
        scope=ERASE,
        body=EraseBody,
        responses={202: ErasureResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="erase_address",
        method="POST",
        path="/api/v1/privacy/addresses/erase",
        handler=erase_address,
        summary="Erase an address that belongs to no user.",
        scope=ERASE,
        body=EraseAddressBody,
        responses={202: ErasureResponse},
        errors=(409,),
        idempotent=True,
    ),
    Route(
        name="get_certificate",
        method="GET",
        path="/api/v1/privacy/certificates/{id}",
        handler=certificate,
        summary="Get the certificate of an erasure: what was erased, in which store.",
        scope=ERASE,
        responses={200: CertificateResponse},
        errors=(404,),
    ),
    Route(
        name="list_holds",
        method="GET",
        path="/api/v1/privacy/holds",
        handler=holds,
        summary="List the legal holds, the oldest first.",
        scope=HOLD,
        query=PAGE_QUERY,
        responses={200: HoldList},
    ),
    Route(
        name="place_hold",
        method="POST",
        path="/api/v1/privacy/holds",
        handler=place_hold,
        summary="Place a legal hold: nothing of the user is deleted while it is in force.",
        scope=HOLD,
        body=HoldBody,
        responses={201: HoldResponse},
        errors=(404,),
        idempotent=True,
    ),
    Route(
        name="end_hold",
        method="DELETE",
        path="/api/v1/privacy/holds/{id}",
        handler=end_hold,
        summary="End a legal hold. An erasure that waits for it goes on.",
        scope=HOLD,
        responses={204: None},
        errors=(404,),
    ),
)
