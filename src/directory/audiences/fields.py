"""The fields that a segment may test. The parser, the SQL and the page read this table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from directory.models.contact import ContactKind
from directory.models.user import Role


class Op(StrEnum):
    """An operator that compares a field with a value."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "not_in"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    EXISTS = "exists"


class Kind(StrEnum):
    """The sort of values that a field holds."""

    CHOICE = "choice"
    TEXT = "text"
    MOMENT = "moment"
    MEMBERSHIP = "membership"
    CONTACT = "contact"
    ATTRIBUTE = "attribute"
    ENGAGEMENT = "engagement"


_SAME = (Op.EQ, Op.NE, Op.IN, Op.NOT_IN)
_ORDER = (Op.LT, Op.LTE, Op.GT, Op.GTE)
OPS = {
    Kind.CHOICE: _SAME,
    Kind.TEXT: (*_SAME, Op.CONTAINS, Op.STARTS_WITH, Op.EXISTS),
    Kind.MOMENT: (*_ORDER, Op.EXISTS),
    Kind.MEMBERSHIP: (*_SAME, Op.EXISTS),
    Kind.CONTACT: (*_SAME, Op.EXISTS),
    Kind.ATTRIBUTE: (*_SAME, *_ORDER, Op.CONTAINS, Op.STARTS_WITH, Op.EXISTS),
    Kind.ENGAGEMENT: (),
}
"""The operators that each kind of field accepts."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field that a segment may test."""

    name: str
    kind: Kind
    #: The description on the page of the language.
    about: str
    #: The user's column, where the field is a column.
    column: str = ""
    #: The values that the field accepts, where they are a fixed set.
    choices: tuple[str, ...] = ()

    @property
    def ops(self) -> tuple[Op, ...]:
        return OPS[self.kind]


PUSH = "push"
CONTACTS = (*ContactKind.values, PUSH)
ATTRIBUTES = "attributes"

FIELDS = {
    field.name: field
    for field in (
        Field("role", Kind.CHOICE, "What the person is.", "role", tuple(Role.values)),
        Field("locale", Kind.TEXT, "Such as `ru` or `en_GB`, compared exactly.", "locale"),
        Field("timezone", Kind.TEXT, "IANA name, such as `Europe/Paris`.", "timezone"),
        Field("subscription_tier", Kind.TEXT, "Such as `free`.", "subscription_tier"),
        Field("external_id", Kind.TEXT, "The platform's own id.", "external_id"),
        Field("date_joined", Kind.MOMENT, "When the person came.", "date_joined"),
        Field("last_login", Kind.MOMENT, "When the person last logged in.", "last_login"),
        Field("groups", Kind.MEMBERSHIP, "Groups by id or UUID; `exists`: is in any."),
        Field("lists", Kind.MEMBERSHIP, "Mailing lists by id or UUID, subscribed to."),
        Field("subjects", Kind.MEMBERSHIP, "Subjects by id, learned or taught."),
        Field(
            "contact_points",
            Kind.CONTACT,
            "Kinds of active contact points; `push`: a live device.",
            choices=CONTACTS,
        ),
        Field(ATTRIBUTES, Kind.ATTRIBUTE, "`attributes.plan.seats`: a place in the attributes."),
        Field("opened", Kind.ENGAGEMENT, "Opened within days. Not available yet."),
        Field("clicked", Kind.ENGAGEMENT, "Clicked within days. Not available yet."),
    )
}
