"""The registry of the tables about people: the directory, sign-in, consents and records."""

from __future__ import annotations

from notifications.features.privacy.registry.fields import (
    Column,
    OnErasure,
    PersonalField,
    Protection,
    table,
)

_CREDENTIAL = "it is a secret, by which others could act as the person"
_INDEX = "it repeats a sealed text"
_NUMBER = "the number of the person"
_READ, _DELETED = Protection.READABLE, OnErasure.DELETED
_SEALED, _HASHED = Protection.PERSON_KEY, Protection.KEYED_HASH
_EVIDENCE = OnErasure.EVIDENCE


def _index(what: str) -> Column:
    """Returns the entry of a blind index; the export has the text itself."""
    return Column(f"index of {what}", _HASHED)


DIRECTORY: tuple[PersonalField, ...] = (
    *table(
        "directory.User",
        protection=_READ,
        erasure=_DELETED,
        section="profile",
        columns={
            "sealed": Column("the texts of the profile, and the private attributes", _SEALED),
            "username": _index("the username"),
            "email": _index("the email address"),
            "first_name": _index("the first name"),
            "last_name": _index("the last name"),
            "phone_number": _index("the phone number"),
            "telegram_id": _index("the Telegram id"),
            "external_id": "the number of the person on the platform",
            "uuid": "the public id of the person",
            "password": Column("the password of staff", Protection.HASH, left_out=_CREDENTIAL),
            "role": "the role on the platform",
            "staff_role": "the role as a member of staff",
            "locale": "the language",
            "timezone": "the time zone",
            "avatar_url": "the picture's address",
            "subscription_tier": "what the person pays for",
            "attributes": Column("what the platform says, for segments", keys="*"),
        },
    ),
    *table(
        "directory.ContactPoint",
        protection=_READ,
        erasure=_DELETED,
        section="contact_points",
        columns={
            "user_id": _NUMBER,
            "sealed": Column("the address and its spelling", _SEALED),
            "address": _index("the address"),
            "spelling": _index("the spelling"),
            "state_reason": "why the address was closed",
        },
    ),
    *table(
        "directory.AddressProof",
        protection=_READ,
        erasure=_DELETED,
        section="address_proofs",
        columns={
            "user_id": _NUMBER,
            "sealed": Column("the address that waits for its code", _SEALED),
            "address": _index("the address"),
            "code_hash": Column("the code", _HASHED, left_out=_CREDENTIAL),
        },
    ),
    *table(
        "directory.Device",
        protection=_READ,
        erasure=_DELETED,
        section="devices",
        columns={
            "user_id": _NUMBER,
            "sealed": Column("the push token; the export masks it", _SEALED, left_out=_CREDENTIAL),
            "token": Column("index of the push token", _HASHED, left_out=_INDEX),
            "platform": "the system of the device",
            "keys": Column("the keys of a browser", left_out=_CREDENTIAL, keys="p256dh auth"),
        },
    ),
    *table(
        "directory.SearchToken",
        protection=_HASHED,
        erasure=_DELETED,
        section="",
        reason=_INDEX,
        columns={"user_id": _NUMBER, "token": "words of the name, and normal forms"},
    ),
    *table(
        "directory.AddressKey",
        protection=_HASHED,
        erasure=_DELETED,
        section="",
        reason=_INDEX,
        columns={"index": "index of an address"},
    ),
    *table(
        "directory.Suppression",
        protection=_READ,
        erasure=_EVIDENCE,
        section="suppressions",
        columns={
            "sealed": Column("the address", Protection.ADDRESS_KEY, erasure=OnErasure.EMPTIED),
            "address": Column(
                "index of the address", _HASHED, stays="an import must not reach the person again"
            ),
            "reason": Column("why nothing is sent; erased", erasure=OnErasure.EMPTIED),
            "source": Column("who suppressed it; erased", erasure=OnErasure.EMPTIED),
        },
    ),
    *table(
        "directory.GroupMembership",
        protection=_READ,
        erasure=_DELETED,
        section="groups",
        columns={"user_id": _NUMBER},
    ),
    *table(
        "directory.ListMembership",
        protection=_READ,
        erasure=_DELETED,
        section="lists",
        columns={"user_id": _NUMBER, "source": "where the person joined or left"},
    ),
    *table(
        "directory.Enrollment",
        protection=_READ,
        erasure=_DELETED,
        section="lessons",
        columns={"student_id": _NUMBER, "teacher_id": _NUMBER},
    ),
    *table(
        "directory.TutorAssignment",
        protection=_READ,
        erasure=_DELETED,
        section="tutoring",
        columns={"student_id": _NUMBER, "tutor_id": _NUMBER},
    ),
    *table(
        "directory.ParentLink",
        protection=_READ,
        erasure=_DELETED,
        section="family",
        columns={"parent_id": _NUMBER, "student_id": _NUMBER},
    ),
    *table(
        "directory.User_groups",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason="a right of staff, which says nothing else about the person",
        columns={"user_id": _NUMBER},
    ),
    *table(
        "directory.User_user_permissions",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason="a right of staff, which says nothing else about the person",
        columns={"user_id": _NUMBER},
    ),
    *table(
        "notifications.StaffGroupMember",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason="a right of staff, which says nothing else about the person",
        columns={"user_id": _NUMBER},
    ),
)

RECORDS: tuple[PersonalField, ...] = (
    *table(
        "notifications.UserNotificationPreference",
        protection=_READ,
        erasure=_DELETED,
        section="preferences",
        columns={
            "user_id": _NUMBER,
            "chosen": "which switches the person set",
            "timezone": "the zone of the quiet hours",
            "digest_frequency": "how often digests come",
        },
    ),
    *table(
        "notifications.NotificationCategoryPreference",
        protection=_READ,
        erasure=_DELETED,
        section="preferences",
        columns={
            "user_id": _NUMBER,
            "category": "the category of the choice",
            "chosen": "which switches the person set",
        },
    ),
    *table(
        "notifications.ConsentRecord",
        protection=_READ,
        erasure=_EVIDENCE,
        section="consents",
        columns={
            "user_id": Column(_NUMBER, stays="it proves whose consent it was"),
            "purpose": Column("what the consent is for", stays="it proves the consent"),
            "wording": Column("what the person was shown, or wrote", stays="it proves the consent"),
            "source": Column("where it was given", stays="it proves the consent"),
            "actor": Column("who recorded it", stays="it proves the consent"),
            "ip": Column("the address of the request", erasure=OnErasure.EMPTIED),
        },
    ),
    *table(
        "notifications.AuditLeaf",
        protection=_READ,
        erasure=_EVIDENCE,
        section="audit_entries",
        columns={
            "data": Column(
                "values before and after, addresses", _SEALED, erasure=OnErasure.EMPTIED
            ),
            "actor": Column("the number of who did it", stays="the tree proves who did what"),
            "target": Column("the number of what was changed", stays="the tree proves it"),
            "subject_id": Column(_NUMBER, stays="it allows the content to be missing"),
        },
    ),
    *table(
        "notifications.AuditQueued",
        protection=_READ,
        erasure=_EVIDENCE,
        section="",
        reason="it is in the audit log a second later",
        columns={
            "data": Column("values before and after", _SEALED, erasure=OnErasure.UNREADABLE),
            "actor": "the number of who did it",
            "target": "the number of what was changed",
            "subject_id": _NUMBER,
        },
    ),
    *table(
        "notifications.PersonToken",
        protection=_READ,
        erasure=_DELETED,
        section="tokens",
        columns={
            "user_id": _NUMBER,
            "key_hash": Column("the token", Protection.HASH, left_out=_CREDENTIAL),
        },
    ),
    *table(
        "notifications.ApiKey",
        protection=_READ,
        erasure=_EVIDENCE,
        section="api_keys",
        reason="a key names who sent what",
        columns={
            "name": "the name of a key that the person issued",
            "prefix": "the visible part of the key",
            "key_hash": Column("the key", Protection.HASH, left_out=_CREDENTIAL),
            "previous_prefix": "the visible part of the key before its rotation",
            "previous_hash": Column(
                "the key before its rotation", Protection.HASH, left_out=_CREDENTIAL
            ),
            "addresses": Column("the networks from which the key may be used", keys="[]"),
            "owner_id": Column(_NUMBER, erasure=OnErasure.EMPTIED),
            "holders": Column(
                "the numbers of who saw the key", left_out="it names others", keys="[]"
            ),
        },
    ),
    *table(
        "sessions.Session",
        protection=_READ,
        erasure=_DELETED,
        section="sessions",
        columns={
            "session_key": Column("the session", left_out=_CREDENTIAL),
            "session_data": Column("the number of the person, signed", left_out=_CREDENTIAL),
        },
    ),
    *table(
        "authtoken.Token",
        protection=Protection.HASH,
        erasure=_DELETED,
        section="",
        reason="the table stays empty",
        columns={"key": "the token, until it is saved", "user_id": _NUMBER},
    ),
    *table(
        "authtoken.TokenProxy",
        protection=Protection.HASH,
        erasure=_DELETED,
        section="",
        reason="the table stays empty",
        columns={"key": "the token, until it is saved", "user_id": _NUMBER},
    ),
    *table(
        "admin.LogEntry",
        protection=_READ,
        erasure=_EVIDENCE,
        section="admin_log",
        columns={
            "user_id": Column("who changed a row", erasure=_DELETED),
            "object_id": Column("the number of the row", stays="it proves what staff changed"),
            "object_repr": Column("a name, in rows of older releases", erasure=OnErasure.EMPTIED),
            "change_message": Column("the names of changed fields", stays="it has no values"),
        },
    ),
    *table(
        "notifications.IdempotencyKey",
        protection=_READ,
        erasure=_DELETED,
        section="repeated_calls",
        columns={
            "principal": "the number of the person",
            "key": "the key that the person sent",
            "body_hash": Column("the body", Protection.HASH, left_out=_INDEX),
            "answer": Column("the response", Protection.SERVICE_KEY, keys="*"),
        },
    ),
    *table(
        "notifications.Erasure",
        protection=_READ,
        erasure=_EVIDENCE,
        section="erasures",
        reason="the certificate",
        columns={
            "user_id": _NUMBER,
            "person": "the public id of the person",
            "reason": "why the person is erased",
            "key_ids": Column("the ids of the deleted keys", left_out="it is of no use", keys="[]"),
            "in_flight": Column("keys of messages", left_out="it is of no use", keys="[]"),
            "removed": Column("counts by table", left_out="it is of no use", keys="*"),
        },
    ),
    *table(
        "notifications.LegalHold",
        protection=_READ,
        erasure=_EVIDENCE,
        section="",
        reason="its reason may not be shown to the person, and an erasure waits for its end",
        columns={"user_id": _NUMBER, "reason": "why the data is retained"},
    ),
    *table(
        "notifications.DataExport",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason="it is the export itself",
        columns={"user_id": _NUMBER, "actor": "who requested it"},
    ),
    *table(
        "notifications.DataExportPart",
        protection=_SEALED,
        erasure=_DELETED,
        section="",
        reason="it is the export itself",
        columns={"content": "a part of an export"},
    ),
)
