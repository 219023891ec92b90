"""Model fields whose texts are sealed together in one column of their row.

A `SealedText` reads and writes as a text. Its own column has a blind index, to which the lookups
`exact`, `in` and `isnull` go; no other lookup, `values()` or `order_by()` can use it. A field with
normal forms has the lookup `iexact`, too. The texts of all such fields of a row are in its column
`sealed`, under the data key of the row's person.

A row of an older release has readable texts in its columns, and nothing in `sealed`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec
from django.core.exceptions import FieldError
from django.db import models
from django.db.models.functions import Cast
from django.db.models.lookups import Exact, IExact, In, IsNull
from django.db.models.query_utils import DeferredAttribute

from vault.cells import Key, KeyErased, key_id_of
from vault.indexes import blind_index
from vault.store import load_data_keys, open_cell
from vault.values import StoredValue

if TYPE_CHECKING:  # Django's fields take type arguments in the stubs only
    CharBase = models.CharField[Any, Any]
    BinaryBase = models.BinaryField[Any, Any]
    QuerySetBase = models.QuerySet[Any]
else:
    CharBase, BinaryBase, QuerySetBase = models.CharField, models.BinaryField, models.QuerySet
INDEX_LENGTH = 40
INDEX = re.compile(r"[0-9a-f]{40}")
"""The form of a blind index. A column of a row of an older release has the text itself."""
FindNormal = Callable[[str, str], tuple[str, list[Any]]]
"""Takes the name of a field and a text."""
_LOOKUPS = frozenset({"exact", "in", "isnull"})


class SealedAttribute(DeferredAttribute):
    """The attribute of a sealed text. It opens the row's cell when it is read."""

    def __get__(self, instance: Any, cls: type | None = None) -> Any:
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        if isinstance(value, StoredValue):
            value = instance.open_text(self.field.attname, value)
            instance.__dict__[self.field.attname] = value
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class SealedText(CharBase):
    """A text in the sealed column of its row. See the module."""

    descriptor_class = SealedAttribute

    def __init__(
        self,
        *args: Any,
        purpose: str = "",
        find_normal: FindNormal | None = None,
        **kwargs: Any,
    ) -> None:
        """Takes the arguments of a CharField.

        Args:
            purpose: indexes of the same purpose can be compared.
            find_normal: enables the lookup `iexact`. It returns SQL that selects the primary keys
                of the rows whose text has the same normal form as a text, and its parameters.
        """
        super().__init__(*args, **kwargs)
        self.purpose = purpose
        self.find_normal = find_normal

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "purpose": self.purpose}

    def index_of(self, text: str) -> str:
        """Returns what the column has for a text."""
        return text and blind_index(f"{self.purpose}:{text}")

    def db_type(self, connection: Any) -> str:
        """Returns the type of the column, which takes an index as well as a text."""
        return f"varchar({max(self.max_length or 0, INDEX_LENGTH)})"

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        """Returns the text, or the column as it was read where the text was not read."""
        held = model_instance.__dict__.get(self.attname)
        return held if isinstance(held, StoredValue) else super().pre_save(model_instance, add)

    def columns_of_rows(self, rows: Sequence[Any]) -> list[Any]:
        """Returns the columns of rows that are inserted."""
        name, index_of, columns = self.attname, self.index_of, []
        for row in rows:
            text = row.__dict__.get(name)
            is_text = type(text) is str  # the usual case, which needs none of Django's steps
            columns.append(
                index_of(text) if is_text else self.get_prep_value(self.pre_save(row, True))
            )
        return columns

    def from_db_value(self, value: str | None, *_: Any) -> StoredValue | str | None:
        return StoredValue(value) if value else value

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, StoredValue) else super().to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, StoredValue):
            return value.text
        text = super().get_prep_value(value)
        return self.index_of(text) if text else text

    def get_lookup(self, lookup_name: str) -> Any:
        """Returns a lookup of the index; None for all others, which Django reports as an error."""
        is_known = lookup_name in _LOOKUPS or (lookup_name == "iexact" and self.find_normal)
        return super().get_lookup(lookup_name) if is_known else None

    def get_transform(self, lookup_name: str) -> None:
        return None

    def columns_of(self, value: Any) -> list[Any]:
        """Returns what the column may have for a text: the index, or the text of an older row."""
        found = self.get_prep_value(value)
        text = "" if isinstance(value, StoredValue) else value
        is_plain = isinstance(text, str) and text and not INDEX.fullmatch(text)
        return [found, text] if is_plain else [found]


@SealedText.register_lookup
class SealedIn(In):
    """Compares with any of some texts."""

    def get_prep_lookup(self) -> Any:
        if hasattr(self.rhs, "resolve_expression"):
            return super().get_prep_lookup()
        return [each for value in self.rhs for each in self.lhs.output_field.columns_of(value)]

    def get_db_prep_lookup(self, value: Any, connection: Any) -> Any:
        return "%s", list(value)


@SealedText.register_lookup
class SealedExact(Exact):
    """Compares with one text."""

    def get_prep_lookup(self) -> Any:
        if hasattr(self.rhs, "resolve_expression"):
            return super().get_prep_lookup()
        return self.lhs.output_field.columns_of(self.rhs)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        if not isinstance(self.rhs, list):
            return super().as_sql(compiler, connection)
        column, params = self.process_lhs(compiler, connection)
        marks = ", ".join(["%s"] * len(self.rhs))
        return f"{column} IN ({marks})", (*params, *self.rhs)


@SealedText.register_lookup
class SealedIExact(IExact):
    """Compares normal forms, which an index beside the row has."""

    def get_prep_lookup(self) -> Any:
        return self.rhs

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        field: Any = self.lhs.target
        select, params = field.find_normal(field.name, str(self.rhs))
        alias = compiler.quote_name_unless_alias(self.lhs.alias)
        column = connection.ops.quote_name(field.model._meta.pk.column)
        return f"{alias}.{column} IN ({select})", tuple(params)


@SealedText.register_lookup
class SealedIsNull(IsNull):
    """Whether there is no text."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self.process_lhs(compiler, connection)
        sql = f"coalesce({column}, '') {'=' if self.rhs else '<>'} ''"
        return sql, tuple(params)


class SealedColumn(BinaryBase):
    """The cell with the sealed texts of a row."""

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        return model_instance.seal_texts()


class _Page:
    """The keys of rows that were fetched together: the first text that is read loads all."""

    __slots__ = ("_ids", "_keys")

    def __init__(self, ids: tuple[int | None, ...]) -> None:
        self._ids = ids
        self._keys: dict[int, Key] | None = None

    def key_of(self, cell: bytes | memoryview) -> Key | None:
        """Returns the key of a row's cell; None where it was erased, or sealed since."""
        if self._keys is None:
            self._keys = load_data_keys(self._ids)
        return self._keys.get(key_id_of(cell) or 0)


class SealedQuerySet(QuerySetBase):
    """A queryset that keeps the sealed column consistent with its texts."""

    def _fetch_all(self) -> None:
        loaded = self._result_cache is None
        super()._fetch_all()
        rows = self._result_cache or ()
        if loaded and rows and isinstance(rows[0], SealedModel):
            page = _Page(tuple(key_id_of(row.__dict__.get("sealed")) for row in rows))
            for row in rows:
                row.__dict__["_page"] = page

    def _check(self, names: Iterable[Any]) -> None:
        sealed = self.model.sealed_names()
        for name in names:
            if isinstance(name, str) and name.lstrip("-") in sealed:
                raise FieldError(f"{name} is sealed: load the objects, and read it from each")

    def update(self, **kwargs: Any) -> int:
        # bulk_update() passes a Case (in a Cast on PostgreSQL), and the sealed column with it.
        several = (models.Case, Cast)
        self._check(name for name, value in kwargs.items() if not isinstance(value, several))
        return super().update(**kwargs)

    def values(self, *fields: Any, **expressions: Any) -> Any:
        self._check(fields)
        return super().values(*fields, **expressions)

    def values_list(self, *fields: Any, **kwargs: Any) -> Any:
        self._check(fields)
        return super().values_list(*fields, **kwargs)

    def indexes(self, *fields: str) -> Any:
        """Returns tuples of fields, as values_list() does; a sealed text is a StoredValue."""
        return super().values_list(*fields)

    def only(self, *fields: str) -> Self:
        self._check(fields)
        return super().only(*fields)

    def order_by(self, *fields: Any) -> Self:
        self._check(fields)
        return super().order_by(*fields)

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        rows = list(objs)
        self.model.prepare_keys(rows)
        if not self.model.sealed_names().isdisjoint(kwargs.get("update_fields") or ()):
            kwargs["update_fields"] = [*kwargs["update_fields"], "sealed"]
        made = super().bulk_create(rows, *args, **kwargs)
        self.model.after_insert(made)
        return made

    def bulk_update(
        self, objs: Iterable[Any], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        rows, names = list(objs), list(fields)
        if not self.model.sealed_names().isdisjoint(names):
            self.model.prepare_keys(rows)
            if any(row.sealed is None for row in rows):
                # The whole rows are sealed, so no column of an old one may stay readable.
                names = sorted(self.model.sealed_names().union(names))
            for row in rows:
                row.sealed = row.seal_texts()
            names.append("sealed")
        return super().bulk_update(rows, names, batch_size)


class SealedModel(models.Model):
    """A row with sealed texts."""

    #: A cell with the texts of all sealed fields, as a JSON object.
    sealed = SealedColumn(null=True, editable=False)

    #: The names of the row's properties of the type SealedObject.
    sealed_objects: ClassVar[tuple[str, ...]] = ()
    _names: ClassVar[dict[type, frozenset[str]]] = {}

    class Meta:
        abstract = True

    @classmethod
    def sealed_names(cls) -> frozenset[str]:
        """Returns the names of the sealed fields."""
        found = SealedModel._names.get(cls)
        if found is None:
            found = frozenset(f.attname for f in cls._meta.fields if isinstance(f, SealedText))
            SealedModel._names[cls] = found
        return found

    @classmethod
    def prepare_keys(cls, rows: Sequence[Any]) -> None:
        """Finds or creates the data keys of rows, a few statements for all of them."""

    @classmethod
    def after_insert(cls, rows: Sequence[Any]) -> None:
        """Writes what belongs to rows that `bulk_create` inserted or changed."""

    def data_key(self) -> Key | None:
        """Returns the key that seals the row; None where it was erased."""
        raise NotImplementedError

    def sealed_about(self) -> bytes:
        """Returns what names the row, so that its cell cannot be moved to another one."""
        raise NotImplementedError

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        names = None if update_fields is None else set(update_fields)
        if names is not None and not names.isdisjoint({*self.sealed_names(), *self.sealed_objects}):
            if self.sealed is None:  # the whole row is sealed: no column of an old one stays
                names |= self.sealed_names()
            names = {*names, "sealed"}.difference(self.sealed_objects)
        super().save(*args, update_fields=names, **kwargs)

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)
        for name in self.sealed_objects:
            self.__dict__.pop(name, None)

    def seal_texts(self) -> bytes:
        """Returns the cell of the texts as they are now. An unread cell stays as it is."""
        held = self.__dict__
        if "sealed" in held and held["sealed"] is not None:
            names = (*self.sealed_names(), *self.sealed_objects)
            if not any(_is_read(held, name) for name in names):
                return bytes(held["sealed"])
        texts = {}
        for name in self.sealed_names():
            text = held.get(name)
            if type(text) is not str:  # it was not read yet, or it is missing
                text = getattr(self, name)
            if text:
                texts[name] = text
        texts |= {name: value for name in self.sealed_objects if (value := getattr(self, name))}
        key = self.data_key()
        # Of an erased person only the indexes remain: no cell at all means readable columns.
        cell = b"" if key is None else key.seal(msgspec.json.encode(texts), self.sealed_about())
        held["sealed"], held["_opened"] = cell, (cell, texts)
        return cell

    def open_text(self, name: str, stored: StoredValue) -> str:
        """Returns one text; empty where the key was erased."""
        cell = self.sealed
        if cell is None:
            return stored.text  # a row of an older release
        text: str = self._values_of(cell).get(name, "")
        return text

    def open_object(self, name: str) -> dict[str, Any]:
        """Returns one object; empty where there is none, or where the key was erased."""
        found: dict[str, Any] = self._values_of(self.sealed).get(name, {})
        return found

    def _values_of(self, cell: bytes | memoryview | None) -> dict[str, Any]:
        if not cell:
            return {}  # only the indexes remain
        opened = self.__dict__.get("_opened")
        if opened is None or opened[0] is not cell:
            page = self.__dict__.get("_page")
            key = page.key_of(cell) if page is not None else None
            opened = self.__dict__["_opened"] = (cell, open_texts(cell, self.sealed_about(), key))
        values: dict[str, Any] = opened[1]
        return values


def _is_read(held: dict[str, Any], name: str) -> bool:
    return name in held and not isinstance(held[name], StoredValue)


def open_texts(cell: bytes | memoryview, about: bytes, key: Key | None = None) -> dict[str, Any]:
    """Returns the texts and objects in a cell, by field; empty where the key was erased."""
    try:
        plain = open_cell(cell, about) if key is None else key.open(cell, about)
    except KeyErased:
        return {}
    texts: dict[str, Any] = msgspec.json.decode(plain)
    return texts
