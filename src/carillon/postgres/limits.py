"""How long the server lets a session run, wait and idle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds, more than 0 each: a statement's, those it waits for a lock, those a transaction
    may stand idle."""

    statement_s: float = 30.0
    lock_s: float = 5.0
    idle_s: float = 10.0

    def settings(self) -> dict[str, str]:
        """The server's settings by name, in milliseconds."""
        return {
            "statement_timeout": _milliseconds(self.statement_s),
            "lock_timeout": _milliseconds(self.lock_s),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_s),
        }

    def statements(self, verb: str) -> list[bytes]:
        """What sets the limits. verb: SET, or SET LOCAL for one transaction."""
        return [f"{verb} {name} = {value}".encode() for name, value in self.settings().items()]


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
