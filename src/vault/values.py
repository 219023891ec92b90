"""Values of sealed rows: what a column has, and objects without a column."""

from __future__ import annotations

from typing import Any


class StoredValue:
    """What the column of a sealed text has. Load the object to read the text itself."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "<a sealed text: load its object to read it>"

    def __str__(self) -> str:
        raise TypeError("values() cannot read a sealed text: load the objects")


class SealedObject(property):
    """A JSON object in the sealed column of its row, without a column and an index of its own.

    Assign a new object to change it; a change inside the object is not saved.
    """

    def __init__(self, name: str) -> None:
        def read(row: Any) -> dict[str, Any]:
            held: dict[str, Any] | None = row.__dict__.get(name)
            return row.open_object(name) if held is None else held

        def write(row: Any, value: dict[str, Any]) -> None:
            row.__dict__[name] = value

        super().__init__(read, write, doc="A JSON object; empty where nothing is stored.")
        self.name = name
