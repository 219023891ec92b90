"""The registry of the tables about broadcasts, campaigns and series."""

from __future__ import annotations

from notifications.features.privacy.registry.fields import (
    Column,
    OnErasure,
    PersonalField,
    Protection,
    table,
)

_READ, _DELETED = Protection.READABLE, OnErasure.DELETED
_NUMBER = "the number of the person"
_CHOICE = "what was known of the person when an hour or a channel was chosen"
_SHARED = "it is about many people, so it is exported to none of them"
_VENDORS = "the vendor's text, which may quote an address"

BROADCASTS: tuple[PersonalField, ...] = (
    *table(
        "notifications.BroadcastRecipient",
        protection=_READ,
        erasure=OnErasure.EMPTIED,
        section="broadcasts_received",
        columns={
            "recipient_id": Column(
                _NUMBER, erasure=OnErasure.EVIDENCE, stays="the counts of the broadcast need it"
            ),
            "channel_states": Column(
                "the status by channel",
                erasure=OnErasure.EVIDENCE,
                stays="it holds statuses only",
                keys="*",
            ),
            "error": _VENDORS,
            "telegram_error": _VENDORS,
            "telegram_message_id": "the vendor's id",
            "choice": _CHOICE,
        },
    ),
    *table(
        "notifications.Broadcast",
        protection=_READ,
        erasure=OnErasure.EVIDENCE,
        section="broadcasts_written",
        reason="what was sent to others",
        columns={
            "created_by_id": Column("the number of its author", erasure=OnErasure.EMPTIED),
            "approved_by_id": Column(
                "the number of who approved it", left_out="a record", erasure=OnErasure.EMPTIED
            ),
            "involved_user_ids": Column("who worked on it", left_out="it names others", keys="[]"),
            "title": "a title that the person wrote",
            "message": "a text that the person wrote",
            "review_note": "the note of a review",
            "target_filter": Column("the audience", keys="*"),
            "error_log": Column(
                _VENDORS,
                left_out=_SHARED,
                erasure=OnErasure.EMPTIED,
                keys="recipient_id error timestamp",
            ),
            "error_reasons": Column(
                _VENDORS, left_out=_SHARED, erasure=OnErasure.EMPTIED, keys="*"
            ),
        },
    ),
    *table(
        "notifications.CampaignHoldout",
        protection=_READ,
        erasure=_DELETED,
        section="holdouts",
        columns={"user_id": _NUMBER},
    ),
    *table(
        "notifications.Campaign",
        protection=_READ,
        erasure=OnErasure.EVIDENCE,
        section="campaigns_written",
        reason="what was sent to others",
        columns={
            "created_by_id": Column("the number of its author", erasure=OnErasure.EMPTIED),
            "approved_by_id": Column(
                "the number of who approved it", left_out="a record", erasure=OnErasure.EMPTIED
            ),
            "involved_user_ids": Column("who worked on it", left_out="it names others", keys="[]"),
            "name": "a name that the person wrote",
            "description": "a text that the person wrote",
            "review_note": "the note of a review",
            "audience": Column("the audience", keys="*"),
            "exclude": Column("the segments that are excluded", keys="[]"),
            "segment_criteria": Column("the criteria of its segments", keys="*"),
            "context": Column("the values of a template", keys="*"),
        },
    ),
    *table(
        "notifications.SeriesEnrollment",
        protection=_READ,
        erasure=_DELETED,
        section="mail_series",
        columns={"user_id": _NUMBER, "choice": _CHOICE},
    ),
    *table(
        "notifications.SeriesHandover",
        protection=_READ,
        erasure=_DELETED,
        section="mail_series",
        columns={"choice": _CHOICE},
    ),
    *table(
        "notifications.MailSeries",
        protection=_READ,
        erasure=OnErasure.EVIDENCE,
        section="mail_series_written",
        reason="what was sent to others",
        columns={
            "created_by_id": Column("the number of its author", erasure=OnErasure.EMPTIED),
            "approved_by_id": Column(
                "the number of who approved it", left_out="a record", erasure=OnErasure.EMPTIED
            ),
            "involved_user_ids": Column("who worked on it", left_out="it names others", keys="[]"),
            "name": "a name that the person wrote",
            "description": "a text that the person wrote",
            "review_note": "the note of a review",
            "context": Column("the values of the templates", keys="*"),
        },
    ),
)
