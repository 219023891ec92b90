"""People, contact points, and the relations from which audiences are computed."""

from directory.addresses import normalise_address
from directory.models.address_key import AddressKey
from directory.models.contact import ContactPoint, Device, Suppression
from directory.models.proof import AddressProof
from directory.models.relations import (
    Enrollment,
    Group,
    GroupMembership,
    ParentLink,
    Subject,
    TutorAssignment,
)
from directory.models.segment import Segment
from directory.models.user import User

__all__ = [
    "AddressKey",
    "AddressProof",
    "ContactPoint",
    "Device",
    "Enrollment",
    "Group",
    "GroupMembership",
    "ParentLink",
    "Segment",
    "Subject",
    "Suppression",
    "TutorAssignment",
    "User",
    "normalise_address",
]
