"""The caller of a service: one value for a user, a key or a command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal and its permissions."""

    #: Stable and free of personal data (`user:7`, `key:3`, `cli`). It is stored with idempotency
    #: keys and actions of operators.
    name: str
    user_id: int | None = None
    #: The person: the user, or the owner of the key. An approval needs two different ones.
    owner_id: int | None = None
    is_service: bool = False
    is_staff: bool = False
    is_test: bool = False
    scopes: frozenset[str] = frozenset()

    @property
    def source(self) -> str:
        """The source of its messages, among which workers are fair."""
        return self.name if self.is_service else "users"

    def may(self, scope: str) -> bool:
        """Returns whether it has a scope. Staff have every scope; services those of their key."""
        return self.is_staff or scope in self.scopes


SYSTEM = Caller(name="system", is_service=True, is_staff=True)
