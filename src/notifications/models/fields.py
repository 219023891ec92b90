"""Column types: sealed content, and public ids that are looked up by the integer key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.expressions import Combinable
from django.db.models.functions import Least
from django.db.models.lookups import Exact

from notifications.domain.counts import MOST
from notifications.domain.identifiers import key_of
from notifications.infra.crypto import seal, unseal
from vault.cells import KeyErased

if TYPE_CHECKING:  # Django's fields take type arguments in the stubs only
    UUIDBase = models.UUIDField[UUID | str | None, UUID]
    BigIntegerBase = models.BigIntegerField[int | str | UUID, int]
    BinaryBase = models.BinaryField[Any, Any]
    AliasBase = models.ForeignObject[Any, Any]
else:
    UUIDBase = models.UUIDField
    BigIntegerBase = models.BigIntegerField
    BinaryBase = models.BinaryField
    AliasBase = models.ForeignObject


def one_more(column: str) -> Combinable:
    """Returns the next value of a smallint counter, for an update. It stays at the maximum."""
    return Least(models.F(column), models.Value(MOST - 1)) + 1


EMPTIED = b""
"""What a sealed column holds after its retention ended: no value, unlike null for none ever."""

EMPTY_LIST = models.Value([], output_field=models.JSONField())
"""An empty list: the database's default when an older release writes a row."""

EMPTY_OBJECT = models.Value({}, output_field=models.JSONField())
"""The same for an empty object."""


class PublicIdField(UUIDBase):
    """A UUID made by `domain.identifiers.public_id`: `filter(uuid=...)` uses the primary key."""


@PublicIdField.register_lookup
class PublicIdExact(Exact):
    """Writes `uuid = %s` as `id = key AND uuid = %s`: it needs no index of its own."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        sql, params = super().as_sql(compiler, connection)
        key = key_of(self.rhs) if isinstance(self.rhs, UUID) else None
        if key is None:
            return "1 = 0", ()
        table = compiler.quote_name_unless_alias(self.lhs.alias)
        return f"({table}.id = %s AND {sql})", (key, *params)


class MessageKeyField(BigIntegerBase):
    """The integer key of a message.

    The first message of a notification has the same key, so the uuid that the send API returned
    also finds the message.
    """

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) >= 32:
            value = UUID(value)
        return key_of(value) if isinstance(value, UUID) else super().get_prep_value(value)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, UUID) or (isinstance(value, str) and len(value) >= 32):
            return self.get_prep_value(value)
        return super().to_python(value)


class SealedJSONField(BinaryBase):
    """Any JSON value, encrypted at rest. It cannot be searched.

    Its value is None after the person was erased whose key sealed it. Empty bytes (EMPTIED) are a
    value that was removed when its retention ended; they read as None.
    """

    def from_db_value(self, value: Any, *_: Any) -> Any:
        if not value:
            return None
        try:
            return json.loads(unseal(value))
        except KeyErased:
            return None

    def get_prep_value(self, value: Any) -> Any:
        if value is None or isinstance(value, bytes):
            return value
        return seal(_encoded(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Seals under the key that the row names by `cell_key()`, where its model has one."""
        value = super().pre_save(model_instance, add)
        find = getattr(model_instance, "cell_key", None)
        if value is None or isinstance(value, bytes) or find is None:
            return value
        return seal(_encoded(value), find())

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> str:
        return json.dumps(self.value_from_object(obj), cls=DjangoJSONEncoder)


def _encoded(value: Any) -> bytes:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False).encode()


class ListsText(models.Func):
    """A condition: a JSON list holds a text. PostgreSQL uses a GIN index if there is one."""

    arg_joiner = " @> "
    template = "%(expressions)s"
    sqlite_template = "EXISTS (SELECT 1 FROM json_each({}) WHERE value = %s)"
    output_field = models.BooleanField()

    def __init__(self, column: str, text: str) -> None:
        self._text = text
        super().__init__(models.F(column), models.Value([text], output_field=models.JSONField()))

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = compiler.compile(self.source_expressions[0])
        return self.sqlite_template.format(column), (*params, self._text)


class CellHead(models.Func):
    """The first nine bytes of a sealed column, which name the data key of its cell.

    Its text has no bound values, so that both databases use an index over it.
    """

    template = "substr(%(expressions)s, 1, 9)"
    output_field = models.BinaryField()


class AliasOfForeignKey(AliasBase):
    """A second name of a foreign key, for values and queries. It has no column."""

    def __init__(self, original: str, to: str) -> None:
        super().__init__(
            to,
            on_delete=models.DO_NOTHING,  # the foreign key itself defines on_delete
            from_fields=[original],
            to_fields=["id"],
            related_name="+",
            null=True,
        )
        self._original = original

    def get_attname(self) -> str:
        """Returns the name by which queries may pass the key alone."""
        return f"{self.name}_id"

    def contribute_to_class(
        self, cls: type[models.Model], name: str, private_only: bool = False, **more: Any
    ) -> None:
        super().contribute_to_class(cls, name, private_only=True, **more)
        setattr(cls, self.get_attname(), _KeyAlias(f"{self._original}_id"))


class _KeyAlias:
    """Reads and writes the key of a row by a second name."""

    def __init__(self, original: str) -> None:
        self._original = original

    def __get__(self, row: models.Model | None, owner: type[models.Model]) -> Any:
        return self if row is None else getattr(row, self._original)

    def __set__(self, row: models.Model, key: Any) -> None:
        setattr(row, self._original, key)
