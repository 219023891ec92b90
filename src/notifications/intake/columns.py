"""The columns of the rows that acceptance inserts, in order."""

from __future__ import annotations

NOTIFICATION_COLUMNS = (
    "id",
    "uuid",
    "user_id",
    "address",
    "category_id",
    "template_version_id",
    "job_id",
    "type",
    "priority",
    "source",
    "locale",
    "text",
    "context",
    "options",
    "scheduled_at",
    "scheduled_status",
    "expires_at",
    "collapse_key",
    "ordering_key",
    "idempotency_key",
    "correlation_id",
    "is_test",
    "created_at",
)
MESSAGE_COLUMNS = (
    "id",
    "notification_id",
    "user_id",
    "channel",
    "priority",
    "status",
    "batch_id",
    "scheduled_at",
    "attempts",
    "max_attempts",
)
EXPERIMENT_COLUMNS = ("ab_test_id", "variant")
"""The columns that notifications have beside, where one of an insert belongs to a test."""
