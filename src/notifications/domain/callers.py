"""Who asks: the one value that doors make of a user, a key or a command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal with what it may do.

    name is stable and free of personal data (`user:7`, `key:3`, `cli`): it is stored with
    idempotency keys and operators' actions. source is what workers are fair among. owner_id is the
    person behind it all: oneself, or whose key it is; what needs two people needs two of these.
    """

    name: str
    user_id: int | None = None
    owner_id: int | None = None
    is_service: bool = False
    is_staff: bool = False
    is_test: bool = False
    scopes: frozenset[str] = frozenset()

    @property
    def source(self) -> str:
        return self.name if self.is_service else "users"

    def may(self, scope: str) -> bool:
        """Whether a scope is held. Staff hold every scope; services hold what their key says."""
        return self.is_staff or scope in self.scopes


SYSTEM = Caller(name="system", is_service=True, is_staff=True)
