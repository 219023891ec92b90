"""Reads the attachments of a request (base64 in JSON); each error has its place."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from notifications.domain.messages import TYPE_PARAMETER, Attachment
from notifications.infra.conf import environment
from notifications.intake.fields import Fields
from vault.cells import Key
from vault.models import DataKey
from vault.store import create_keys

MAX_ATTACHMENTS = 10
_LONGEST_NAME = 200
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}")
_PARAMETER = re.compile(TYPE_PARAMETER)
_PARAMETERS = ("charset", "method", "format", "delsp", "component", "header", "profile")
"""The parameters that a type may have. The mail itself sets name and boundary."""
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f/\\]")
_KNOWN = ("filename", "content", "content_type")
_CARRIES = "email"


def read_attachments(inner: Fields) -> tuple[Attachment, ...]:
    """Reads the attachments in `options`; adds an error for each wrong one and leaves it out."""
    listed = inner.items("attachments") or []
    if len(listed) > MAX_ATTACHMENTS:
        detail = f"takes up to {MAX_ATTACHMENTS} files, not {len(listed)}"
        inner.add_error("attachments", "too_many_attachments", detail)
        return ()
    found = [read for place, item in enumerate(listed) if (read := _read(inner, place, item))]
    total, most = sum(len(each.content) for each in found), environment().max_attachment_bytes
    if total > most:
        detail = f"are {total:,} bytes together and may be {most:,}: send a link instead"
        inner.add_error("attachments", "attachments_too_large", detail)
    return tuple(found)


def key_for_files(own: Sequence[Key | None]) -> Key | None:
    """Returns the data key for the files of a request: of its only recipient, else a new one.

    own: the key of each recipient. None where the only one was erased: nothing may be stored.
    """
    if len(own) == 1:
        return own[0]
    (made,) = create_keys(1, DataKey.Kind.FILE)
    return made


def check_carried(fields: Fields, channels: tuple[str, ...], options: Mapping[str, Any]) -> None:
    """Adds an error where files would be lost: no channel carries them, or another may be first."""
    if options.get("channel_choice"):
        detail = f"cannot be combined with attachments: only {_CARRIES} carries files"
        fields.add_error("options.channel_choice", "invalid", detail)
    if channels and _CARRIES not in (*channels, *options.get("fallback", ())):
        detail = f"only {_CARRIES} carries files, and this goes by {', '.join(channels)}"
        fields.add_error("options.attachments", "no_channel_for_attachments", detail)


def _read(inner: Fields, place: int, item: Any) -> Attachment | None:
    path = f"attachments[{place}]."
    if not isinstance(item, dict):
        inner.add_error(path[:-1], "wrong_type", "must be an object with filename and content")
        return None
    fields = Fields(item, path=f"{inner.path}{path}")
    fields.refuse_unknown(_KNOWN)
    name = fields.text("filename", required=True, longest=_LONGEST_NAME)
    if name and (_NOT_IN_NAMES.search(name) or name in (".", "..")):
        fields.add_error("filename", "invalid", "must be a file's name without a path, on one line")
    kind = _read_type(fields)
    content = _content(fields)
    inner.errors += fields.errors
    return None if fields.errors else Attachment(name or "", kind, content)


def _read_type(fields: Fields) -> str:
    """Reads the content type and normalizes it: `text/calendar; method=REQUEST`."""
    written = fields.text("content_type") or "application/octet-stream"
    kind, *rest = (part.strip() for part in written.split(";"))
    kind = kind.lower()
    if not _TYPE.fullmatch(kind) or kind.startswith(("multipart/", "message/")):
        fields.add_error("content_type", "invalid", "must be a plain type such as application/pdf")
        return ""
    parameters: dict[str, str] = {}
    for each in rest:
        name, _, value = each.partition("=")
        name = name.lower()
        if name not in _PARAMETERS or not _PARAMETER.fullmatch(f"{name}={value}"):
            detail = f"takes the parameters {', '.join(_PARAMETERS)}, as in charset=utf-8"
            fields.add_error("content_type", "invalid", detail)
            return ""
        if name in parameters:
            fields.add_error("content_type", "invalid", f"names {name} twice")
            return ""
        parameters[name] = value
    return "; ".join([kind, *(f"{name}={value}" for name, value in parameters.items())])


def _content(fields: Fields) -> bytes:
    text = fields.body.get("content")
    if not isinstance(text, str):
        fields.add_error("content", "required", "is required: the file's bytes in base64")
        return b""
    try:
        content = base64.b64decode(text, validate=True)
        if (
            base64.b64encode(content).decode() != text
        ):  # b64decode accepts surplus characters and bits
            raise binascii.Error
    except (binascii.Error, ValueError):
        fields.add_error("content", "invalid_base64", "is not base64 (RFC 4648, with padding)")
        return b""
    if not content:
        fields.add_error("content", "empty_attachment", "holds no bytes")
    return content
