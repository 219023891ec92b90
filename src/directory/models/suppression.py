"""The suppression list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import models

from directory.addresses import normalise_address
from directory.models.address_key import AddressKey
from directory.models.contact import ContactKind
from vault.cells import Key
from vault.sealed import SealedModel, SealedQuerySet, SealedText
from vault.values import StoredValue


class SuppressionQuerySet(SealedQuerySet):
    """Finds suppressed addresses."""

    def columns_among(self, forms: Mapping[str, str]) -> set[tuple[str, str]]:
        """Returns the kind and the address column of the rows with one of these columns."""
        rows = self.filter(address__in=list(forms.values()))
        return {(kind, stored.text) for kind, stored in rows.indexes("kind", "address")}

    def list_index(
        self, kind: str, form: str, older: Iterable[str], *, reason: str, source: str
    ) -> None:
        """Suppresses an address by its index alone, and removes its text where it is stored.

        Args:
            kind: the kind of the address.
            form: its index.
            older: what the column has in a row of an older release.
            reason: a code.
            source: who suppressed it.
        """
        rows: models.QuerySet[Suppression] = models.QuerySet(self.model).filter(
            models.Q(address=StoredValue(form))
            | models.Q(address__in=[StoredValue(each) for each in older]),
            kind=kind,
        )
        if rows.exists():
            models.QuerySet.update(
                rows, address=StoredValue(form), sealed=b"", reason=reason, source=source
            )
            return
        row = self.model(kind=kind, address=StoredValue(form), reason=reason, source=source)
        row.sealed = b""
        models.QuerySet(self.model).bulk_create([row], ignore_conflicts=True)


class Suppression(SealedModel):
    """An address that nothing may be sent to, for all users who have it.

    Once the address was erased, only its index, kind and date remain.
    """

    kind = models.CharField(max_length=10, choices=ContactKind.choices)
    address = SealedText(max_length=1000, purpose="address")
    reason = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SuppressionQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "address"], name="suppression_once")]

    def __str__(self) -> str:
        return f"{self.kind} suppression {self.pk}"

    def save(self, *args: object, **kwargs: object) -> None:
        """Stores the normal form, by which addresses are compared."""
        self.address = normalise_address(self.kind, self.address)
        super().save(*args, **kwargs)  # type: ignore[arg-type]  # Django's own signature

    @classmethod
    def address_forms(cls, addresses: Iterable[str]) -> dict[str, str]:
        """Returns addresses by what their column may have: the index, or the text itself."""
        field: Any = cls._meta.get_field("address")
        return {form: each for each in addresses for form in field.columns_of(each)}

    @classmethod
    def prepare_keys(cls, rows: Sequence[Any]) -> None:
        keys = AddressKey.objects.for_sends([{row.kind: row.address} for row in rows])
        for row, key in zip(rows, keys, strict=True):
            row.__dict__["_data_key"] = key

    def data_key(self) -> Key | None:
        if "_data_key" not in self.__dict__:
            self.prepare_keys([self])
        held: Key | None = self.__dict__.pop("_data_key")
        return held

    def sealed_about(self) -> bytes:
        return f"directory_suppression.sealed:{self.kind}".encode()
