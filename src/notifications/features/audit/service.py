"""AuditService: entries, proofs, checkpoints and exports of the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest, NotFound
from notifications.domain.merkle import ProofError
from notifications.features.access.service import require_scope
from notifications.features.audit.proofs import (
    StoreBroken,
    consistency_proof,
    public_key_line,
    root_at,
)
from notifications.features.audit.queries import (
    AuditFilter,
    all_entries,
    entry_response,
    page_of_entries,
)
from notifications.features.audit.receipts import (
    damaged,
    leaf_response,
    not_sealed_yet,
    proof_in,
    signed_tree,
)
from notifications.features.audit.schemas import (
    AuditEntryResponse,
    AuditProofResponse,
    CheckpointResponse,
    ConsistencyResponse,
)
from notifications.infra.audit_keys import open_checkpoint
from notifications.infra.csv_text import csv_lines
from notifications.models import AuditCheckpoint, AuditHead, AuditLeaf

READ = "audit:read"
ExportFormat = Literal["ndjson", "csv"]
Page = list[AuditEntryResponse]
COLUMNS = tuple(AuditEntryResponse.__struct_fields__)
_encode = msgspec.json.Encoder().encode


class AuditService:
    """Reads the audit log for staff, and for keys with the scope `audit:read`."""

    def list(
        self, *, wanted: AuditFilter, caller: Caller, after: int = 0, limit: int = 50
    ) -> list[AuditEntryResponse]:
        """Returns entries, the newest first; `after` is the last id of the page before, plus 1.

        Raises:
            Refused: missing_scope.
        """
        require_scope(caller, READ)
        return page_of_entries(wanted, after=after, limit=limit)

    def get(self, *, identifier: str, caller: Caller) -> AuditEntryResponse:
        """Returns one entry, or one slice.

        Raises:
            NotFound: unknown_audit_entry. Refused: missing_scope.
        """
        require_scope(caller, READ)
        return entry_response(_find(identifier))

    def export(
        self,
        *,
        wanted: AuditFilter,
        caller: Caller,
        form: ExportFormat = "ndjson",
        whole: bool = False,
    ) -> Iterator[bytes]:
        """Yields all entries as a file, the newest first, a page at a time.

        whole: erasures have what a restore needs: ids of keys, and indexes of addresses.

        Raises:
            Refused: missing_scope.
        """
        require_scope(caller, READ)
        pages = all_entries(wanted, whole=whole)
        return _ndjson(pages) if form == "ndjson" else _csv(pages)

    def proof(self, *, identifier: str, caller: Caller) -> AuditProofResponse:
        """Returns a leaf with the proof that the newest checkpoint covers it.

        Raises:
            NotFound: unknown_audit_entry. Refused: missing_scope.
            Conflict: not_sealed_yet, audit_damaged.
        """
        require_scope(caller, READ)
        leaf = _find(identifier)
        tree = signed_tree(leaf.number)
        return AuditProofResponse(
            leaf=leaf_response(leaf),
            proof=proof_in(tree, leaf.number),
            checkpoint=tree.note,
            public_key=public_key_line(),
        )

    def checkpoint(self, *, caller: Caller) -> CheckpointResponse:
        """Returns the newest checkpoint.

        Raises:
            Refused: missing_scope. Conflict: not_sealed_yet, when nothing was sealed.
        """
        require_scope(caller, READ)
        row = AuditCheckpoint.objects.order_by("-pk").first()
        if row is None:
            raise not_sealed_yet()
        found = open_checkpoint(row.note)
        return CheckpointResponse(
            size=found.size,
            root=found.root.hex(),
            at=found.at,
            checkpoint=row.note,
            public_key=public_key_line(),
        )

    def consistency(self, *, old: int, new: int, caller: Caller) -> ConsistencyResponse:
        """Returns the proof that the first `new` leaves continue the first `old` ones.

        new: 0 stands for all leaves.

        Raises:
            InvalidRequest: invalid_tree_size. Refused: missing_scope. Conflict: audit_damaged.
        """
        require_scope(caller, READ)
        head = AuditHead.objects.first() or AuditHead()
        new = new or head.size
        if not 0 < old <= new <= head.size:
            detail = f"must be from 1 to `to`, and `to` at most {head.size}"
            raise InvalidRequest([FieldError("from", "invalid_tree_size", detail)])
        try:
            hashes = consistency_proof(old, new)
            roots = root_at(old).hex(), root_at(new).hex()
        except (StoreBroken, ProofError) as error:
            raise damaged(error) from error
        return ConsistencyResponse(
            old=old,
            new=new,
            old_root=roots[0],
            new_root=roots[1],
            hashes=[each.hex() for each in hashes],
        )


def _find(identifier: str) -> AuditLeaf:
    is_number = identifier.isascii() and identifier.isdecimal() and len(identifier) < 19
    leaf = AuditLeaf.objects.filter(pk=int(identifier)).first() if is_number else None
    if leaf is None:
        raise NotFound(f"the audit log has no entry {identifier}", code="unknown_audit_entry")
    return leaf


def _ndjson(pages: Iterator[Page]) -> Iterator[bytes]:
    for page in pages:
        yield b"".join(_encode(entry) + b"\n" for entry in page)


def _csv(pages: Iterator[Page]) -> Iterator[bytes]:
    yield csv_lines([COLUMNS])
    for page in pages:
        yield csv_lines([_cells(entry) for entry in page])


def _cells(entry: AuditEntryResponse) -> list[str]:
    values = [getattr(entry, name) for name in COLUMNS]
    return [each if isinstance(each, str) else _encode(each).decode().strip('"') for each in values]
