"""Contact points and devices of people, and the suppression list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.conf import settings
from django.db import models
from django.utils import timezone

from directory.addresses import normalise_address
from directory.keys import load_keys_of_people
from vault.cells import Key
from vault.sealed import SealedModel, SealedQuerySet, SealedText, open_texts


class ContactKind(models.TextChoices):
    """The kind of address of a contact point."""

    EMAIL = "email", "Email"
    PHONE = "phone", "Phone"
    TELEGRAM = "telegram", "Telegram"
    WEBHOOK = "webhook", "Webhook URL"
    CHAT = "chat", "Chat URL"


class ContactState(models.TextChoices):
    """Whether a contact point can be used."""

    ACTIVE = "active", "Active"
    BOUNCED = "bounced", "Bounced"
    EXPIRED = "expired", "Expired"
    UNSUBSCRIBED = "unsubscribed", "Unsubscribed"


def columns_of(kind: str, given: str) -> tuple[str, str]:
    """Returns the columns `address` and `spelling` for an address as it was given.

    Only an email address may have a spelling of its own; a number or an id has one spelling.
    """
    normal = normalise_address(kind, given)
    given = given.strip()
    return normal, given if kind == ContactKind.EMAIL and given != normal else ""


ADDRESSES = (
    "SELECT point.user_id, point.kind, point.sealed, point.address, point.spelling, point.state,"
    " EXISTS (SELECT 1 FROM directory_suppression"
    " WHERE kind = point.kind AND address = point.address)"
    " FROM directory_contactpoint AS point"
)
"""SQL for rows that `addresses_by_user` reads, of the contact points named `point`."""


if TYPE_CHECKING:  # the stubs do not know what from_queryset returns
    ManagerBase = models.Manager["ContactPoint"]
else:
    ManagerBase = models.Manager.from_queryset(SealedQuerySet)


class ContactPointManager(ManagerBase):
    """Maintains one contact point for each user and kind."""

    def close(self, *, user_id: int, kind: str, address: str, state: str, reason: str) -> bool:
        """Closes a user's address if it is still the same one; returns whether it was open."""
        return bool(
            self.filter(
                user_id=user_id,
                kind=kind,
                address=normalise_address(kind, address),
                state=ContactState.ACTIVE,
            ).update(state=state, state_reason=reason, updated_at=timezone.now())
        )

    def close_all(self, *, kind: str, address: str, reason: str) -> int:
        """Unsubscribes an address for all its users; returns how many contact points were open."""
        return self.filter(kind=kind, address=address, state=ContactState.ACTIVE).update(
            state=ContactState.UNSUBSCRIBED, state_reason=reason, updated_at=timezone.now()
        )

    def reopen(self, *, kind: str, address: str, reason_ends: str) -> int:
        """Reopens an unsubscribed address whose reason ends with `reason_ends`."""
        return self.filter(
            kind=kind,
            address=address,
            state=ContactState.UNSUBSCRIBED,
            state_reason__endswith=reason_ends,
        ).update(state=ContactState.ACTIVE, state_reason="", updated_at=timezone.now())

    def set_primary(self, *, user_id: int, kind: str, address: str) -> None:
        """Makes `address` the user's only address of its kind; an empty one removes the address.

        A new address starts active, because a bounce of the old address does not concern it.
        Another spelling of the same address is not a new address.
        """
        address, spelling = columns_of(kind, address)
        if not address:
            self.filter(user_id=user_id, kind=kind).delete()
            return
        point, made = self.get_or_create(
            user_id=user_id, kind=kind, defaults={"address": address, "spelling": spelling}
        )
        if made or (point.address, point.spelling) == (address, spelling):
            return
        changed = ["address", "spelling"]
        if point.address != address:
            point.state, point.state_reason, point.verified_at = ContactState.ACTIVE, "", None
            changed += ["state", "state_reason", "verified_at"]
        point.address, point.spelling = address, spelling
        point.save(update_fields=changed)


class ContactAddress(NamedTuple):
    """A user's address of one kind."""

    kind: str
    #: The spelling that messages are sent to.
    address: str
    #: One of `ContactState`.
    state: str
    #: The address is on the suppression list.
    listed: bool


def point_about(user_id: int, kind: str) -> bytes:
    """Returns what names the sealed cell of a contact point."""
    return f"directory_contactpoint.sealed:{user_id}:{kind}".encode()


def written_to(
    point: tuple[int, str], sealed: bytes | None, columns: tuple[str, str], key: Key | None
) -> str:
    """Returns the address that messages to a contact point are sent to.

    Args:
        point: the user and the kind.
        sealed: the cell of the row; None in a row of an older release.
        columns: `address` and `spelling`, which are readable in such a row.
        key: the person's data key; None where it was erased.
    """
    if sealed is None:
        return columns[1] or columns[0]
    texts = open_texts(sealed, point_about(*point), key) if key is not None else {}
    return str(texts.get("spelling") or texts.get("address", ""))


def addresses_by_user(
    rows: Iterable[Sequence[Any]], keys: Mapping[int, Key]
) -> dict[int, dict[str, ContactAddress]]:
    """Returns the addresses in rows of ADDRESSES, by user and kind. keys: by user."""
    found: dict[int, dict[str, ContactAddress]] = {}
    for user_id, kind, sealed, address, spelling, state, listed in rows:
        text = written_to((user_id, kind), sealed, (address, spelling), keys.get(user_id))
        found.setdefault(user_id, {})[kind] = ContactAddress(kind, text, state, bool(listed))
    return found


class SealedForUser(SealedModel):
    """A model whose sealed columns have the data key of the row's user."""

    user_id: int

    class Meta:
        abstract = True

    @classmethod
    def prepare_keys(cls, rows: Sequence[Any]) -> None:
        """Loads the data keys of the users of rows, in a few statements."""
        ids = {row.user_id for row in rows if "_data_key" not in row.__dict__}
        keys = load_keys_of_people(ids) if ids else {}
        for row in rows:
            row.__dict__.setdefault("_data_key", keys.get(row.user_id))

    def data_key(self) -> Key | None:
        """Returns the data key of the row's user."""
        held: Key | None = self.__dict__.pop("_data_key", None)
        return held or load_keys_of_people([self.user_id]).get(self.user_id)


class ContactPoint(SealedForUser):
    """One address of one user."""

    Kind = ContactKind
    State = ContactState

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="contact_points"
    )
    kind = models.CharField(max_length=10, choices=ContactKind.choices)
    #: The normal form, by which addresses are compared.
    address = SealedText(max_length=1000, purpose="address")
    #: The spelling that mails are sent to; empty where it is the normal form.
    spelling = SealedText(
        max_length=1000, blank=True, default="", db_default="", purpose="spelling"
    )
    state = models.CharField(
        max_length=12, choices=ContactState.choices, default=ContactState.ACTIVE
    )
    state_reason = models.CharField(max_length=200, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[ContactPointManager] = ContactPointManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "kind"], name="contact_point_one_a_kind")
        ]
        indexes = [models.Index(fields=["kind", "address"])]

    def __str__(self) -> str:
        return f"{self.kind} of user {self.user_id}"

    @property
    def written_to(self) -> str:
        """The address in the spelling in which it was given."""
        return str(self.spelling or self.address)

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Stores the normal form and the spelling; a changed address loses its old spelling."""
        normal = normalise_address(self.kind, self.address)
        is_same = normalise_address(self.kind, self.spelling) == normal
        self.address, self.spelling = columns_of(
            self.kind, self.spelling if is_same else self.address
        )
        if update_fields is not None and "address" in update_fields:
            update_fields = {*update_fields, "spelling"}
        super().save(*args, update_fields=update_fields, **kwargs)

    def sealed_about(self) -> bytes:
        return point_about(self.user_id, self.kind)


class DeviceQuerySet(SealedQuerySet):
    """Chainable filters over devices."""

    def live(self) -> DeviceQuerySet:
        """Returns the devices that can still receive pushes, the newest first."""
        return self.filter(expired_at__isnull=True).order_by("-last_seen", "-id")

    def expire(self, ids: Iterable[int], *, at: datetime) -> int:
        """Marks devices as expired, whose token is dead; returns how many were live."""
        return self.filter(pk__in=list(ids), expired_at__isnull=True).update(expired_at=at)


class Device(SealedForUser):
    """A push token: one installation of an app, or one browser."""

    class Kind(models.TextChoices):
        FCM = "fcm", "Firebase"
        WEBPUSH = "webpush", "Web Push"
        APNS = "apns", "APNs"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="devices"
    )
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.FCM)
    platform = models.CharField(max_length=20, blank=True)
    token = SealedText(max_length=1000, unique=True, purpose="token")
    keys = models.JSONField(default=dict, blank=True)  # Web Push: p256dh and auth
    last_seen = models.DateTimeField(auto_now_add=True)
    expired_at = models.DateTimeField(null=True, blank=True)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "expired_at"])]

    def __str__(self) -> str:
        return f"{self.kind} device of user {self.user_id}"

    def sealed_about(self) -> bytes:
        return device_about(self.user_id)


def device_about(user_id: int) -> bytes:
    """Returns what names the sealed cell of a device."""
    return f"directory_device.sealed:{user_id}".encode()
