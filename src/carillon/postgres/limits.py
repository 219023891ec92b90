"""How long the server allows a session to run a statement, wait for a lock and idle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Time limits of a session, in seconds. Each is more than 0."""

    #: Of a statement.
    statement_s: float = 30.0
    #: Of a wait for a lock.
    lock_s: float = 5.0
    #: Of a transaction that is idle.
    idle_s: float = 10.0

    def settings(self) -> dict[str, str]:
        """Returns the server's settings by name, in milliseconds."""
        return {
            "statement_timeout": _milliseconds(self.statement_s),
            "lock_timeout": _milliseconds(self.lock_s),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_s),
        }

    def statements(self, verb: str) -> list[bytes]:
        """Returns statements that set the limits. verb: SET, or SET LOCAL for a transaction."""
        return [f"{verb} {name} = {value}".encode() for name, value in self.settings().items()]


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
