"""What the routes of exports return."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from notifications.infra.field_types import choice
from notifications.models import ExportState

EXPORT_STATE = choice("ExportState", ExportState.values, "How far the export is.")


class ExportAccepted(msgspec.Struct, kw_only=True):
    """An export that was requested."""

    export_id: UUID
    """The id of the export."""

    state: Annotated[str, EXPORT_STATE]


class ExportLinks(msgspec.Struct, kw_only=True):
    """Where the files of an export are."""

    json: str
    """The path of the JSON file. Example: `/api/v1/privacy/exports/0190/json`"""

    html: str
    """The path of the page. Example: `/api/v1/privacy/exports/0190/html`"""


class ExportResponse(msgspec.Struct, kw_only=True):
    """An export of everything that is stored about a user."""

    export_id: UUID
    """The id of the export."""

    state: Annotated[str, EXPORT_STATE]

    user_id: int
    """The integer id of the user. Example: `42`"""

    requested_at: datetime
    """When it was requested (RFC 3339)."""

    ready_at: datetime | None
    """When it could be downloaded (RFC 3339); null before."""

    expires_at: datetime
    """When it is deleted (RFC 3339)."""

    parts: int
    """How many parts are written. Example: `12`"""

    links: ExportLinks | None
    """The files; null before the export is ready."""
