"""Routes of sign-ins, of invitations of staff, and of ending tokens."""

from __future__ import annotations

import msgspec

from notifications.api.auth import words_of
from notifications.api.bodies import check_body
from notifications.api.pages import PAGE_QUERY, links, page_of
from notifications.api.route import ApiRequest, Route
from notifications.api.user_reference import USER_QUERY, user_in_query
from notifications.domain.scopes import STAFF_SCOPE
from notifications.features.access.authentication import (
    Authenticated,
    Unauthenticated,
    authenticate_text,
)
from notifications.features.signing_in.invitations import InvitationService
from notifications.features.signing_in.schemas import (
    EndedResponse,
    InvitationBody,
    InvitationList,
    InvitationResponse,
    SignInList,
)
from notifications.features.signing_in.service import SignInService


class LogoutBody(msgspec.Struct, kw_only=True):
    """What a logout ends."""

    everywhere: bool = False
    """Whether all sign-ins and tokens of the user end, and not only this one. Example: `false`"""


def log_out(request: ApiRequest) -> EndedResponse:
    body = check_body(request.body, LogoutBody)
    ended = SignInService().log_out(_credentials(request), everywhere=body.everywhere)
    return EndedResponse(ended=ended)


def sign_ins(request: ApiRequest) -> SignInList:
    page = page_of(request)
    origin = _credentials(request).origin
    found = SignInService().list(
        caller=request.caller,
        user_id=user_in_query(request),
        after=page.after,
        limit=page.fetch,
        current=None if origin is None else origin.family,
    )
    following, previous = links(request, page, [each.id for each in found])
    return SignInList(results=found[: page.limit], next=following, previous=previous)


def end_sign_in(request: ApiRequest) -> tuple[int, None]:
    SignInService().end(identifier=request.params["id"], caller=request.caller)
    return 204, None


def revoke_tokens(request: ApiRequest) -> EndedResponse:
    ended = SignInService().revoke_tokens(user_id=request.params["id"], caller=request.caller)
    return EndedResponse(ended=ended)


def invitations(request: ApiRequest) -> InvitationList:
    page = page_of(request)
    found = InvitationService().list(caller=request.caller, after=page.after, limit=page.fetch)
    following, previous = links(request, page, [each.id for each in found])
    return InvitationList(results=found[: page.limit], next=following, previous=previous)


def invite(request: ApiRequest) -> InvitationResponse:
    body = check_body(request.body, InvitationBody)
    return InvitationService().invite(body, caller=request.caller)


def revoke_invitation(request: ApiRequest) -> tuple[int, None]:
    InvitationService().revoke(identifier=request.params["id"], caller=request.caller)
    return 204, None


def _credentials(request: ApiRequest) -> Authenticated:
    """Returns by what the caller has authenticated."""
    words = words_of(request.http.META.get("HTTP_AUTHORIZATION", "").encode("latin-1"))
    if words is None:
        raise Unauthenticated
    return authenticate_text(*words, now=request.now, records_use=False)


ROUTES: tuple[Route, ...] = (
    Route(
        name="log_out",
        method="POST",
        path="/api/v1/auth/logout",
        handler=log_out,
        summary="End the sign-in of this token, or everything of its user.",
        body=LogoutBody,
        service_scope=STAFF_SCOPE,
        responses={200: EndedResponse},
        idempotent=True,
        errors=(409,),
    ),
    Route(
        name="list_sign_ins",
        method="GET",
        path="/api/v1/auth/sessions",
        handler=sign_ins,
        summary="List the sessions and families of tokens of a user.",
        query=(*USER_QUERY, *PAGE_QUERY),
        service_scope=STAFF_SCOPE,
        responses={200: SignInList},
        errors=(404,),
    ),
    Route(
        name="end_sign_in",
        method="DELETE",
        path="/api/v1/auth/sessions/{id}",
        handler=end_sign_in,
        summary="End a session or a family of tokens.",
        service_scope=STAFF_SCOPE,
        responses={204: None},
        errors=(404,),
    ),
    Route(
        name="revoke_tokens",
        method="POST",
        path="/api/v1/users/{id}/tokens/revoke",
        handler=revoke_tokens,
        summary="End all sign-ins and tokens of a user, also those that the platform has issued.",
        scope="users:write",
        responses={200: EndedResponse},
        idempotent=True,
        errors=(404,),
    ),
    Route(
        name="list_invitations",
        method="GET",
        path="/api/v1/staff/invitations",
        handler=invitations,
        summary="List invitations of staff.",
        scope=STAFF_SCOPE,
        query=PAGE_QUERY,
        responses={200: InvitationList},
    ),
    Route(
        name="invite_staff",
        method="POST",
        path="/api/v1/staff/invitations",
        handler=invite,
        summary="Invite a member of staff: a link goes out by mail.",
        scope=STAFF_SCOPE,
        body=InvitationBody,
        responses={201: InvitationResponse},
        errors=(404, 409),
        idempotent=True,
    ),
    Route(
        name="revoke_invitation",
        method="DELETE",
        path="/api/v1/staff/invitations/{id}",
        handler=revoke_invitation,
        summary="Revoke an invitation: its link opens nothing.",
        scope=STAFF_SCOPE,
        responses={204: None},
        errors=(404, 409),
    ),
)
