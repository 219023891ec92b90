"""People, contact points, and the relations from which audiences are computed."""

from directory.addresses import normalise_address
from directory.models.address_key import AddressKey
from directory.models.contact import ContactPoint, Device
from directory.models.lists import ListMembership, ListStatus, SubscriberList
from directory.models.proof import AddressProof
from directory.models.relations import (
    Enrollment,
    Group,
    GroupMembership,
    ParentLink,
    Subject,
    TutorAssignment,
)
from directory.models.search_token import SearchToken
from directory.models.segment import Segment
from directory.models.staff import StaffRole
from directory.models.suppression import Suppression
from directory.models.user import User

__all__ = [
    "AddressKey",
    "AddressProof",
    "ContactPoint",
    "Device",
    "Enrollment",
    "Group",
    "GroupMembership",
    "ListMembership",
    "ListStatus",
    "ParentLink",
    "SearchToken",
    "Segment",
    "StaffRole",
    "Subject",
    "SubscriberList",
    "Suppression",
    "TutorAssignment",
    "User",
    "normalise_address",
]
