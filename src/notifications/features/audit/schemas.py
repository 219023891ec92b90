"""Responses of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from notifications.infra.field_types import choice
from notifications.models import LeafKind

LEAF_KIND = choice("AuditKind", LeafKind.values, "What a leaf of the audit log records.")


class AuditEntryResponse(msgspec.Struct, kw_only=True):
    """One entry of the audit log."""

    id: int
    """The number of the entry's leaf, from 0. Example: `4711`"""

    kind: Annotated[str, LEAF_KIND]

    at: datetime
    """When it happened (RFC 3339)."""

    actor: str
    """Who did it: a user, a key, `cli`, `system` or `worker`. Example: `user:1`"""

    action: str
    """What was done. Example: `category.changed`"""

    target: str
    """What it was done to. Example: `category:homework`"""

    user_id: int | None
    """The integer id of the user whom it is about, or null. Example: `42`"""

    reason: str
    """Why it was done, where the caller gave a reason. Example: `vendor incident`"""

    before: dict[str, Any] | None
    """The changed values before, or null. Example: `{"marketing": false}`"""

    after: dict[str, Any] | None
    """The changed values after, or null. Example: `{"marketing": true}`"""

    ip: str | None
    """The address of the client, or null. Example: `192.0.2.7`"""

    user_agent: str | None
    """The user agent of the client, or null. Example: `curl/8.5`"""

    is_stored: bool
    """Whether the details are stored; false after retention or erasure. Example: `true`"""


class LeafResponse(msgspec.Struct, kw_only=True):
    """A leaf of the tree: what its hash is made of."""

    number: int
    """The place of the leaf, from 0. Example: `4711`"""

    kind: Annotated[str, LEAF_KIND]

    at_ms: int
    """When it happened, in Unix milliseconds. Example: `1893456000000`"""

    actor: str
    """Who did it. Example: `user:1`"""

    action: str
    """What was done. Example: `consent.given`"""

    target: str
    """What it was done to. Example: `consent:12`"""

    user_id: int | None
    """The integer id of the user whom it is about, or null. Example: `42`"""

    data: str | None
    """The content in base64; null after retention or erasure. Example: `q83vEjRWeJA=`"""

    data_hash: str
    """The SHA-256 hash of the content, in hexadecimal. Example: `9f86d081884c7d65`"""

    leaf_hash: str
    """The RFC 6962 hash of the leaf, in hexadecimal. Example: `2c26b46b68ffc68f`"""


class InclusionProof(msgspec.Struct, kw_only=True):
    """The proof that a leaf is in the tree (RFC 6962, section 2.1.1)."""

    size: int
    """The number of leaves of the tree. Example: `5000`"""

    hashes: list[str]
    """The hashes of the proof, in hexadecimal. Example: `["96a296d224f285c6"]`"""


class AuditProofResponse(msgspec.Struct, kw_only=True):
    """A leaf, the proof that it is in the tree, and the checkpoint that signs the tree."""

    leaf: LeafResponse
    """The leaf."""

    proof: InclusionProof
    """The proof that the checkpoint covers the leaf."""

    checkpoint: str
    """The signed checkpoint (C2SP tlog-checkpoint). Example: `notify.example.com/audit`"""

    public_key: str
    """The public key as one line (C2SP vkey). Example: `notify.example.com/audit+7f3a2b1c+AQ==`"""


class CheckpointResponse(msgspec.Struct, kw_only=True):
    """The newest signed checkpoint of the audit log."""

    size: int
    """The number of leaves that it covers. Example: `5000`"""

    root: str
    """The root hash, in hexadecimal. Example: `5dc9da79a70659a9`"""

    at: datetime
    """When it was signed (RFC 3339)."""

    checkpoint: str
    """The signed note (C2SP tlog-checkpoint): keep it elsewhere. Example: `notify.example.com`"""

    public_key: str
    """The public key as one line (C2SP vkey). Example: `notify.example.com/audit+7f3a2b1c+AQ==`"""


class ConsistencyResponse(msgspec.Struct, kw_only=True):
    """The proof that a larger tree continues a smaller one (RFC 6962, section 2.1.2)."""

    old: int
    """The number of leaves of the smaller tree. Example: `4000`"""

    new: int
    """The number of leaves of the larger tree. Example: `5000`"""

    old_root: str
    """The root of the smaller tree, in hexadecimal. Example: `4e3bbb1f7b478dcf`"""

    new_root: str
    """The root of the larger tree, in hexadecimal. Example: `5dc9da79a70659a9`"""

    hashes: list[str]
    """The hashes of the proof, in hexadecimal. Example: `["96a296d224f285c6"]`"""


class OpeningResponse(msgspec.Struct, kw_only=True):
    """What opens the commitment of a leaf: the salt and the text that were hashed."""

    salt: str
    """The salt, in hexadecimal. Example: `00112233445566778899aabbccddeeff`"""

    text: str
    """The details as JSON, or entries of a message's trail.
    Example: `[17, "sent", "ses"],[18, "sent", ""]`"""

    message_id: int | None
    """The integer id of the message, for a decision; else null. Example: `77`"""


class ReceiptItem(msgspec.Struct, kw_only=True):
    """The proof of one decision or consent."""

    opening: OpeningResponse
    """What was decided or agreed to."""

    leaf: LeafResponse
    """The leaf that commits to it."""

    proof: InclusionProof
    """The proof that the checkpoint covers the leaf."""

    checkpoint: str
    """The signed checkpoint (C2SP tlog-checkpoint). Example: `notify.example.com/audit`"""


class ReceiptResponse(msgspec.Struct, kw_only=True):
    """A receipt. `verify_receipt.py` verifies it without this service."""

    format: str
    """The version of this form. Example: `carillon-receipt/v1`"""

    about: str
    """What the receipt proves. Example: `notification 01890a5d-ac96-774b-bcce-b302099a8057`"""

    public_key: str
    """The public key as one line (C2SP vkey). Example: `notify.example.com/audit+7f3a2b1c+AQ==`"""

    receipts: list[ReceiptItem]
    """The proofs: one for each recorded pass, or one for the consent."""
