"""The caller of a service: one value for a user, a key or a command line."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from notifications.domain.scopes import ALL_SCOPES, STAFF_SCOPE

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_THIS_MACHINE = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class TokenOrigin:
    """How a token of a person was issued, by which it ends."""

    user_id: int
    #: `iat`, in seconds since 1970; None where the platform left it out, and for a stored token.
    issued: float | None
    #: The sign-in that it belongs to; None for a token of the platform.
    family: int | None
    #: The hash of a stored token (`Authorization: Token ...`); empty for a JWT.
    token_hash: str = ""


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
    #: Whether it is a member of staff, or the command line. It grants nothing: `scopes` does.
    is_staff: bool = False
    is_test: bool = False
    #: The scopes of its key, or of its role.
    scopes: frozenset[str] = frozenset()
    #: The ids of the categories whose templates it may write and broadcast; None for all.
    categories: frozenset[int] | None = None
    #: The networks from which its key may be used; empty for all.
    networks: tuple[Network, ...] = ()
    #: Of the token that it authenticated with. What the caller may do does not depend on it.
    origin: TokenOrigin | None = field(default=None, compare=False)

    @property
    def source(self) -> str:
        """The source of its messages, among which workers are fair."""
        return self.name if self.is_service else "users"

    @property
    def manages_staff(self) -> bool:
        """Whether it may change members of staff: an admin or the command line, and never a key."""
        return self.is_staff and STAFF_SCOPE in self.scopes

    def may(self, scope: str) -> bool:
        """Returns whether it has a scope: of its key or of its role."""
        return scope in self.scopes

    def may_come_from(self, address: str) -> bool:
        """Returns whether its key may be used from an address of a client.

        An empty address is a unix socket of this machine. A text that is no address is outside of
        every network.
        """
        if not self.networks:
            return True
        try:
            found = ipaddress.ip_address(address.partition("%")[0] or _THIS_MACHINE)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.networks)

    def may_come_from_all(self, network: Network) -> bool:
        """Returns whether its key may be used from every address of a network."""
        if not self.networks:
            return True
        return any(
            int(each[0]) <= int(network[0]) and int(network[-1]) <= int(each[-1])
            for each in self.networks
            if each.version == network.version
        )


SYSTEM = Caller(name="system", is_service=True, is_staff=True, scopes=ALL_SCOPES)
