"""The user: a person who can be notified."""

from __future__ import annotations

import uuid
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import UUID

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection, models, transaction

from directory.keys import keys_of_people
from directory.models.contact import ContactKind, ContactPoint, Device
from directory.models.search_token import NORMAL_FIELDS, save_tokens, select_normal
from directory.models.staff import StaffRole, settle_staff
from directory.references import ExternalId, PersonKey
from vault.cells import Key
from vault.sealed import SealedModel, SealedQuerySet, SealedText
from vault.store import create_keys
from vault.values import SealedObject

T = TypeVar("T")
_AT_ONCE = 1_000  # values in one IN list


def validate_timezone(name: str) -> None:
    """Raises ValidationError where the name is not an IANA time zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValidationError(f"{name!r} is not an IANA time zone, e.g. Europe/Paris") from error


class Role(models.TextChoices):
    """The role of a person on the platform."""

    STUDENT = "student", "Student"
    TEACHER = "teacher", "Teacher"
    TUTOR = "tutor", "Tutor"
    PARENT = "parent", "Parent"
    ADMIN = "admin", "Administrator"


class DeletionRefused(TypeError):
    """A person is erased, and not deleted: see `PrivacyService.erase_user`.

    A deletion would leave their notifications, and their key.
    """

    def __init__(self) -> None:
        super().__init__("erase the person instead: POST /api/v1/privacy/users/{id}/erase")


class PersonQuerySet(SealedQuerySet):
    """People, whom a query cannot delete."""

    def delete(self) -> tuple[int, dict[str, int]]:
        raise DeletionRefused


if TYPE_CHECKING:  # the stubs do not know what from_queryset returns
    ManagerBase = UserManager["User"]
else:
    ManagerBase = UserManager.from_queryset(PersonQuerySet)


class PersonManager(ManagerBase):
    """Finds people by any of their identifiers."""

    def find(self, identifier: PersonKey) -> User | None:
        """Returns the person with this id, uuid or external_id, or None.

        Plain SQL, because every send calls this method, and Django would need more time to compile
        the query than the database needs to run it.
        """
        if isinstance(identifier, UUID):
            value = identifier if connection.features.has_native_uuid_field else identifier.hex
            rows = self.raw("SELECT * FROM directory_user WHERE uuid = %s", [value])
        elif isinstance(identifier, ExternalId):
            sql = "SELECT * FROM directory_user WHERE external_id = %s"
            rows = self.raw(sql, [identifier.value])
        else:
            rows = self.raw("SELECT * FROM directory_user WHERE id = %s", [identifier])
        return next(iter(rows), None)

    def ids_of(self, keys: Iterable[PersonKey]) -> dict[PersonKey, int]:
        """Returns the ids of the persons who exist, by the key that names them."""
        wanted = set(keys)
        numbers = [each for each in wanted if isinstance(each, int)]
        uuids = [each for each in wanted if isinstance(each, UUID)]
        theirs = [each.value for each in wanted if isinstance(each, ExternalId)]
        found: dict[PersonKey, int] = {}
        for ids in _parts(numbers):
            known = self.filter(pk__in=ids).values_list("pk", flat=True)
            found.update((key, key) for key in known)
        for some in _parts(uuids):
            found.update(self.filter(uuid__in=some).values_list("uuid", "pk"))
        for names in _parts(theirs):
            rows = self.filter(external_id__in=names).values_list("external_id", "pk")
            found.update((ExternalId(str(name)), key) for name, key in rows)
        return found


def give_keys(people: Iterable[User]) -> None:
    """Creates the data keys of new people; they are committed before the rows of the people."""
    without = [person for person in people if person.pk is None and person.key_id is None]
    if without:
        for person, key in zip(without, create_keys(len(without)), strict=True):
            person.key_id = key.id
            person.__dict__["_data_key"] = key


def load_keys_into(people: Sequence[User]) -> None:
    """Loads the data keys of people, for saving them."""
    rows = [person for person in people if "_data_key" not in person.__dict__ and person.pk]
    found = keys_of_people([(person.pk, person.key_id, None) for person in rows])
    for person in rows:
        if key := found.get(person.pk):
            person.key_id, person.__dict__["_data_key"] = key.id, key


def user_about(uuid: UUID) -> bytes:
    """Returns what names the sealed cell of a person."""
    return b"directory_user.sealed:" + uuid.bytes


_SEARCHED = frozenset(NORMAL_FIELDS)


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yields the values in parts that are short enough for an IN list."""
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


class User(SealedModel, AbstractUser):
    """A person: integer `id`, `uuid`, and the platform's own `external_id`.

    email, phone_number and telegram_id are what a person entered. Whether each one can be used is
    the state of its contact point, which `save` updates.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    username = SealedText(
        max_length=150, unique=True, blank=True, purpose="username", find_normal=select_normal
    )
    email = SealedText(
        max_length=254,
        blank=True,
        purpose="email",
        validators=[validate_email],
        find_normal=select_normal,
    )
    first_name = SealedText(max_length=150, blank=True, purpose="name", find_normal=select_normal)
    last_name = SealedText(max_length=150, blank=True, purpose="name", find_normal=select_normal)
    #: The role on the platform. It grants nothing here.
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.STUDENT)
    #: What the person may do here, as a member of staff; null for all others. `save` derives
    #: `is_staff` and `is_superuser` from it. No import, no bulk and no form sets it.
    staff_role = models.CharField(
        max_length=10, choices=StaffRole.choices, null=True, blank=True, editable=False
    )
    locale = models.CharField(max_length=20, default="en")
    timezone = models.CharField(max_length=50, default="UTC", validators=[validate_timezone])
    phone_number = SealedText(max_length=20, blank=True, purpose="phone", find_normal=select_normal)
    telegram_id = SealedText(
        max_length=32, blank=True, purpose="telegram", find_normal=select_normal
    )
    external_id = models.CharField(max_length=100, null=True, blank=True, unique=True)
    avatar_url = models.URLField(max_length=500, blank=True)
    subscription_tier = models.CharField(max_length=30, default="free")
    #: Readable: segments select by them.
    attributes = models.JSONField(default=dict, blank=True)
    #: Sealed: no segment selects by them.
    attributes_private = SealedObject("attributes_private")
    sealed_objects = ("attributes_private",)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    #: Tokens that were issued before are refused; null for none.
    tokens_not_before = models.DateTimeField(null=True, editable=False)
    #: Whether the person may sign in with a password while single sign-on is enforced.
    break_glass = models.BooleanField(default=False, db_default=False, editable=False)
    #: The data key in the key store that seals what is stored about the person; none until needed.
    key_id = models.BigIntegerField(null=True, editable=False, unique=True)

    objects: ClassVar[PersonManager] = PersonManager()

    class Meta:
        indexes = [
            models.Index(fields=["role", "is_active", "id"]),
            models.Index(fields=["email"]),
            models.Index(
                fields=["id"],
                name="directory_staff",
                condition=models.Q(staff_role__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"user {self.pk}"  # Django's admin stores it in its log, readably

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise DeletionRefused

    @property
    def fcm_token(self) -> str:
        """The newest live FCM token, or an empty string. Setting it registers a device on save."""
        pending: str | None = getattr(self, "_pending_fcm_token", None)
        if pending is not None or self.pk is None:
            return pending or ""
        device = Device.objects.live().filter(user=self, kind=Device.Kind.FCM).first()
        return device.token if device else ""

    @fcm_token.setter
    def fcm_token(self, token: str) -> None:
        self._pending_fcm_token = token

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Saves the person and their contact points in one transaction."""
        if not self.username:
            self.username = f"user-{self.uuid.hex[:12]}"
        update_fields = settle_staff(self, update_fields)
        with transaction.atomic():
            super().save(*args, update_fields=update_fields, **kwargs)
            if update_fields is None or {"email", "phone_number", "telegram_id"} & set(
                update_fields
            ):
                self._save_contact_points()
            if update_fields is None or not _SEARCHED.isdisjoint(update_fields):
                save_tokens([self])
            token = getattr(self, "_pending_fcm_token", None)
            if token:
                Device.objects.get_or_create(
                    token=token, defaults={"user": self, "kind": Device.Kind.FCM}
                )
                del self._pending_fcm_token

    @classmethod
    def after_insert(cls, rows: Sequence[Any]) -> None:
        save_tokens(rows)

    @classmethod
    def prepare_keys(cls, rows: Sequence[Any]) -> None:
        give_keys(rows)
        load_keys_into(rows)

    def data_key(self) -> Key | None:
        held: Key | None = self.__dict__.pop("_data_key", None)
        if held is not None:
            return held
        if self._state.adding and self.key_id is None:
            (held,) = create_keys(1)  # committed before the row that needs it
            self.key_id = held.id
            return held
        found = keys_of_people([(self.pk, self.key_id, None)]).get(self.pk)
        self.key_id = found.id if found else self.key_id
        return found

    def sealed_about(self) -> bytes:
        return user_about(self.uuid)

    def _save_contact_points(self) -> None:
        entered = {
            ContactKind.EMAIL: self.email,
            ContactKind.PHONE: self.phone_number,
            ContactKind.TELEGRAM: self.telegram_id,
        }
        for kind, address in entered.items():
            ContactPoint.objects.set_primary(user_id=self.pk, kind=kind, address=address)
