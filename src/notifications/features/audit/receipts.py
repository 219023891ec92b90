"""Receipts: proofs of one decision or consent that can be verified without this service."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from notifications.domain.audit_leaves import (
    LeafHeader,
    decision_commitment,
    decision_salt,
    split_slice,
)
from notifications.domain.errors import Conflict, NotFound
from notifications.domain.merkle import ProofError
from notifications.features.audit.proofs import StoreBroken, inclusion_proof, public_key_line
from notifications.features.audit.schemas import (
    InclusionProof,
    LeafResponse,
    OpeningResponse,
    ReceiptItem,
    ReceiptResponse,
)
from notifications.models import (
    AuditCheckpoint,
    AuditLeaf,
    AuditQueued,
    LeafKind,
    NotificationMessage,
)
from notifications.models.audit.entries import open_entry, open_slice
from notifications.models.audit.tree import NO_SLICE
from vault.cells import SealBroken

FORMAT = "carillon-receipt/v1"
_LATEST_MS = 600_000
"""How long after a decision its leaf is searched: a record follows its decision within minutes."""
_MOST_SLICES = 500
_PAGE = 50
_MOST_PASSES = 200


@dataclass(frozen=True, slots=True)
class SignedTree:
    """The newest checkpoint."""

    size: int
    note: str


def signed_tree(number: int) -> SignedTree:
    """Returns the newest checkpoint, which covers the leaf of this number.

    Raises:
        Conflict: not_sealed_yet.
    """
    found = AuditCheckpoint.objects.order_by("-pk").first()
    if found is None or found.size <= number:
        raise not_sealed_yet()
    return SignedTree(found.size, found.note)


def not_sealed_yet() -> Conflict:
    """Returns the error for what is not in the tree yet."""
    detail = "it is not sealed yet: repeat the request in a second"
    return Conflict(detail, code="not_sealed_yet")


def proof_in(tree: SignedTree, number: int) -> InclusionProof:
    """Returns the proof that a leaf is in a tree.

    Raises:
        Conflict: audit_damaged, when the store lacks a hash.
    """
    try:
        hashes = inclusion_proof(number, tree.size)
    except (StoreBroken, ProofError) as error:
        raise damaged(error) from error
    return InclusionProof(size=tree.size, hashes=[each.hex() for each in hashes])


def damaged(error: Exception) -> Conflict:
    """Returns the error for a store from which rows were taken."""
    detail = f"the audit log is damaged ({error}): run `carillon audit verify`"
    return Conflict(detail, code="audit_damaged")


def leaf_response(leaf: AuditLeaf) -> LeafResponse:
    """Returns a leaf as its hash covers it."""
    data = None if leaf.data is None else bytes(leaf.data)
    content_hash = bytes(leaf.data_hash or b"") if data is None else sha256(data).digest()
    return LeafResponse(
        number=leaf.number,
        kind=leaf.kind,
        at_ms=leaf.at_ms,
        actor=leaf.actor,
        action=leaf.action,
        target=leaf.target,
        user_id=leaf.subject_id,
        data=None if data is None else base64.b64encode(data).decode(),
        data_hash=content_hash.hex(),
        leaf_hash=bytes(leaf.leaf_hash).hex(),
    )


def entry_receipt(target: str, *, about: str) -> ReceiptResponse:
    """Returns the receipt of the newest entry with a target.

    Raises:
        NotFound: no_receipt. Conflict: not_sealed_yet, audit_damaged.
    """
    rows = AuditLeaf.objects.filter(NO_SLICE, target=target)
    leaf = rows.order_by("-number").first()
    if leaf is None:
        raise _missing(AuditQueued.objects.filter(target=target).exists())
    tree = signed_tree(leaf.number)
    if leaf.data is None:
        raise _missing(False)
    try:
        salt, text = open_entry(bytes(leaf.data))
    except SealBroken as error:
        raise _missing(False) from error
    opening = OpeningResponse(salt=salt.hex(), text=text.decode(), message_id=None)
    return _response(about, [_item(leaf, opening, tree)])


def decision_receipts(messages: Sequence[NotificationMessage], *, about: str) -> ReceiptResponse:
    """Returns the receipts of all recorded passes of some messages.

    Raises:
        NotFound: no_receipt. Conflict: not_sealed_yet, audit_damaged.
    """
    proved = [found for message in messages for found in _passes(message)]
    if not proved:
        raise _missing(any(_is_queued(message.pk) for message in messages))
    tree = signed_tree(max(leaf.number for leaf, _ in proved))
    return _response(about, [_item(leaf, opening, tree) for leaf, opening in proved])


def _is_queued(message: int) -> bool:
    """Returns whether a slice that may have the message waits to be sealed."""
    rows = AuditQueued.objects.filter(first_message__lte=message, last_message__gte=message)
    return rows.exists()


def _passes(message: NotificationMessage) -> Iterator[tuple[AuditLeaf, OpeningResponse]]:
    """Yields the leaf and the opening of each pass that is found in the tree."""
    entries: list[Any] = json.loads(f"[{message.trail}]") if message.trail else []
    texts = [json.dumps(entry, ensure_ascii=False) for entry in entries[:_MOST_PASSES]]
    at = 0
    while at < len(texts):
        found = _find_pass(message.pk, entries[at][0], texts[at:])
        if found is None:
            at += 1  # it was not written by a record
            continue
        leaf, opening, count = found
        yield leaf, opening
        at += count


def _find_pass(
    message: int, at_ms: int, texts: Sequence[str]
) -> tuple[AuditLeaf, OpeningResponse, int] | None:
    """Returns the leaf that has a commitment to the first of these entries, and to how many."""
    rows = AuditLeaf.objects.filter(
        kind=LeafKind.SLICE,
        at_ms__range=(at_ms, at_ms + _LATEST_MS),
        first_message__lte=message,
        last_message__gte=message,
        data__isnull=False,
    ).order_by("at_ms", "first_message", "last_message", "number")
    for start in range(0, _MOST_SLICES, _PAGE):
        page = list(rows[start : start + _PAGE])
        for leaf in page:
            found = _open_pass(leaf, message, texts)
            if found is not None:
                return leaf, *found
        if len(page) < _PAGE:
            break
    return None


def _open_pass(
    leaf: AuditLeaf, message: int, texts: Sequence[str]
) -> tuple[OpeningResponse, int] | None:
    data = bytes(leaf.data or b"")
    try:
        opened = open_slice(data)
    except SealBroken:
        return None
    if message not in opened.messages:
        return None
    commitment = split_slice(data)[0][opened.messages.index(message)]
    for count in range(1, len(texts) + 1):
        text = ",".join(texts[:count])
        if decision_commitment(opened.salt, message, text) == commitment:
            salt = decision_salt(opened.salt, message).hex()
            return OpeningResponse(salt=salt, text=text, message_id=message), count
    return None


def _item(leaf: AuditLeaf, opening: OpeningResponse, tree: SignedTree) -> ReceiptItem:
    return ReceiptItem(
        opening=opening,
        leaf=leaf_response(leaf),
        proof=proof_in(tree, leaf.number),
        checkpoint=tree.note,
    )


def _response(about: str, items: list[ReceiptItem]) -> ReceiptResponse:
    return ReceiptResponse(format=FORMAT, about=about, public_key=public_key_line(), receipts=items)


def _missing(is_queued: bool) -> Conflict | NotFound:
    if is_queued:
        return not_sealed_yet()
    detail = "the audit log has no content for it: it is older than the log, or was let go"
    return NotFound(detail, code="no_receipt")


def header_of(leaf: AuditLeaf) -> LeafHeader:
    """Returns the part of a leaf that its hash covers besides the content."""
    return LeafHeader(leaf.kind, leaf.at_ms, leaf.actor, leaf.action, leaf.target, leaf.subject_id)
