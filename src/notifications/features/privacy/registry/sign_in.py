"""The registry of the tables of sign-in. Only staff have rows there, except for tokens."""

from __future__ import annotations

from notifications.features.privacy.registry.fields import (
    Column,
    OnErasure,
    PersonalField,
    Protection,
    table,
)

_NUMBER = "the number of the person"
_CREDENTIAL = "it is a secret, by which others could act as the person"
_READ, _DELETED = Protection.READABLE, OnErasure.DELETED

SIGN_IN: tuple[PersonalField, ...] = (
    *table(
        "notifications.SignIn",
        protection=_READ,
        erasure=_DELETED,
        section="sign_ins",
        columns={
            "user_id": _NUMBER,
            "session_key": Column("the session", Protection.HASH, left_out=_CREDENTIAL),
            "password_mark": Column(
                "a mark of the password", Protection.KEYED_HASH, left_out=_CREDENTIAL
            ),
            "address": "the address of the client",
            "agent": "what the client called itself",
        },
    ),
    *table(
        "notifications.StaffInvitation",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason="an invitation to work here; the account that it made is in the export",
        columns={
            "user_id": _NUMBER,
            "email": "the address of the invited person",
            "locale": "the language",
            "invited_by": "the number of who invited",
            "groups": Column("ids of groups of staff", keys="[]"),
        },
    ),
    *table(
        "mfa.Authenticator",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason=_CREDENTIAL,
        columns={
            "user_id": _NUMBER,
            "data": Column(
                "the sealed secret of a second factor; the name and the public key of a passkey",
                keys="secret seed used_mask viewed_at name credential",
            ),
        },
    ),
    *table(
        "socialaccount.SocialAccount",
        protection=_READ,
        erasure=_DELETED,
        section="",
        reason="the provider of single sign-on made these ids, and knows whom they mean",
        columns={
            "user_id": _NUMBER,
            "provider": "the name of the provider in the settings",
            "uid": Column("issuer and subject", Protection.HASH),
            "extra_data": Column("issuer and subject", keys="issuer subject"),
        },
    ),
)
