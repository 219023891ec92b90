"""The tables of the audit log.

Writers insert into the queue and never wait for each other. One sealer moves rows from the queue
into the tree, in order (features/audit/sealer.py). A leaf is never changed. Its content may be let
go later; then the hash of the content stays, so that the tree keeps its root.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

STORED_FROM = 4
"""The lowest level of interior nodes that is stored; lower nodes are made of at most 16 leaves."""


class LeafKind(models.TextChoices):
    """What a leaf records."""

    ENTRY = "entry", "A change that a person or a service made"
    SLICE = "slice", "The decisions of one recorded slice"
    RETENTION = "retention", "Contents of older leaves are let go by age"
    ERASURE = "erasure", "Contents about one person are let go"


LETS_GO = (LeafKind.RETENTION, LeafKind.ERASURE)
"""The kinds whose leaves allow the contents of earlier leaves to be let go."""
LETTING_GO = {kind: f"audit.{kind.value}" for kind in LETS_GO}
"""The action of their leaves, by which an index finds them."""


NO_SLICE = Q(first_message__isnull=True)
"""All leaves but slices."""


class AuditRow(models.Model):
    """What a queued row and a leaf have in common."""

    kind = models.CharField(max_length=9, choices=LeafKind.choices)
    #: When it happened, in Unix milliseconds.
    at_ms = models.BigIntegerField()
    #: Who did it: a Caller's name such as `user:7`, `key:3`, `cli`; `worker` for slices.
    actor = models.CharField(max_length=60)
    #: What was done, e.g. `category.change`.
    action = models.CharField(max_length=40)
    #: What it was done to, e.g. `category:homework`.
    target = models.CharField(max_length=260, blank=True)
    #: The person whom the content is about.
    subject_id = models.BigIntegerField(null=True)
    #: The lowest and the highest message of a slice.
    first_message = models.BigIntegerField(null=True)
    last_message = models.BigIntegerField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"


class AuditQueued(AuditRow):
    """An entry that is not in the tree yet."""

    id = models.BigAutoField(primary_key=True)
    #: The content, as `models/audit/entries.py` makes it.
    data = models.BinaryField()

    class Meta(AuditRow.Meta):
        verbose_name_plural = "queued audit entries"


class AuditLeaf(AuditRow):
    """An entry in the tree. Its number is its place, from 0."""

    number = models.BigIntegerField(primary_key=True)
    #: The content; null once it was let go.
    data = models.BinaryField(null=True)
    #: The SHA-256 hash of the content, once the content was let go.
    data_hash = models.BinaryField(null=True)
    #: The RFC 6962 hash of the leaf.
    leaf_hash = models.BinaryField()
    #: A keyed tag over number and hash, so that `verify` can name a changed row.
    tag = models.BinaryField()

    class Meta(AuditRow.Meta):
        verbose_name_plural = "audit leaves"
        # Their conditions have no values: SQLite uses a partial index only for a condition that a
        # statement has in the same words, and not for a bound value.
        indexes = [
            models.Index(fields=["at_ms"], condition=NO_SLICE, name="audit_time"),
            models.Index(fields=["actor", "number"], condition=NO_SLICE, name="audit_actor"),
            models.Index(fields=["action", "number"], condition=NO_SLICE, name="audit_action"),
            models.Index(fields=["target", "number"], condition=NO_SLICE, name="audit_target"),
            models.Index(
                fields=["subject_id", "number"],
                condition=Q(subject_id__isnull=False),
                name="audit_subject",
            ),
            models.Index(
                fields=["at_ms", "first_message", "last_message"],
                condition=Q(first_message__isnull=False),
                name="audit_slice",
            ),
        ]


class AuditNode(models.Model):
    """A complete interior node of the tree, from level STORED_FROM on."""

    #: 48 bits of the index below the level: one integer key is cheaper than a pair.
    id = models.BigIntegerField(primary_key=True)
    hash = models.BinaryField()

    def __str__(self) -> str:
        return f"node {self.id}"

    @staticmethod
    def key(level: int, index: int) -> int:
        """Returns the primary key of a node."""
        return (level << 48) | index


class AuditHead(models.Model):
    """One row: the size of the tree, and its right edge. The sealer locks it."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    size = models.BigIntegerField(default=0)
    #: The name of the log, from the first checkpoint on: another public address changes nothing.
    origin = models.CharField(max_length=300, default="")
    #: The hashes of the complete nodes on the right edge, the largest first.
    edge = models.BinaryField(default=b"")
    #: What the last checkpoint covers, and when it was signed (Unix milliseconds).
    signed_size = models.BigIntegerField(default=0)
    signed_ms = models.BigIntegerField(default=0)
    #: Leaves below this number were searched for those that let contents go.
    let_go_index = models.BigIntegerField(default=0)
    #: How many checkpoints were numbered, and the number of the last hourly one.
    checkpoints = models.BigIntegerField(default=0, db_default=0)
    last_hourly = models.BigIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"audit tree of {self.size} leaves"


class AuditCheckpoint(models.Model):
    """A signed checkpoint: the size and root of the tree at a time."""

    id = models.BigAutoField(primary_key=True)
    size = models.BigIntegerField()
    at_ms = models.BigIntegerField()
    #: The signed note (C2SP tlog-checkpoint).
    note = models.TextField()
    #: Whether it is stored for good: the first one of each hour is.
    hourly = models.BooleanField(default=False)
    #: Its number, from 1; null in rows of an older release.
    sequence = models.BigIntegerField(null=True)
    #: The number of the hourly checkpoint before it; 0 for none.
    previous_hourly = models.BigIntegerField(null=True)
    #: A keyed tag over its numbers and its note, so that `verify` finds a missing one.
    tag = models.BinaryField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["size"], name="audit_checkpoint_size"),
            models.Index(
                fields=["at_ms"], condition=Q(hourly=False), name="audit_checkpoint_short"
            ),
        ]

    def __str__(self) -> str:
        return f"checkpoint of {self.size} leaves"
