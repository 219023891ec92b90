"""Every field of the registry is exported, protected and erased as the registry says."""

from __future__ import annotations

import json

import pytest
from django.contrib.sessions.models import Session

from notifications.domain.callers import Caller
from notifications.domain.scopes import ALL_SCOPES
from notifications.features.audit.retention import empty_contents
from notifications.features.audit.sealer import seal_due
from notifications.features.privacy.export.sections import read_pages
from notifications.features.privacy.registry.fields import OnErasure, Protection
from notifications.features.privacy.registry.registry import BY_COLUMN, PERSONAL
from notifications.features.privacy.service import PrivacyService
from notifications.features.privacy.steps import erase_due
from notifications.models import ItemFault
from tests.integration.privacy.test_erasure import texts_of_database
from tests.integration.privacy.world import BY_HAND, everything_about

pytestmark = pytest.mark.django_db
STAFF = Caller(name="user:1", user_id=1, is_staff=True, scopes=ALL_SCOPES)


@pytest.fixture
def world(frozen):
    return everything_about()


def found_in(texts, stored):
    stored = stored.lower()
    return {key for key, text in texts.items() if text.lower() in stored}


def test_every_table_of_the_registry_is_in_the_test(world):
    _, texts = world
    tables = {field.label for field in PERSONAL}
    assert BY_HAND - tables == set()
    readable = {f.label for f in PERSONAL if f.column not in ("user_id",)} - BY_HAND
    numbers_only = {
        "directory.AddressProof",
        "directory.GroupMembership", "directory.Enrollment", "directory.TutorAssignment",
        "directory.ParentLink", "notifications.ThrottleCount", "notifications.ChatFlow",
        "notifications.PersonToken", "notifications.ScheduleMember",
        "notifications.StaffGroupMember", "notifications.LastSeen", "notifications.Conversion",
        "notifications.EngagementHours",
    }  # fmt: skip
    assert readable - {label for label, _ in texts} - numbers_only == set()


def test_the_export_has_every_field(world):
    user, texts = world
    sections: dict[str, str] = {}
    for name, items in read_pages(user.pk, own=True):
        sections[name] = sections.get(name, "") + json.dumps(items)
    wrong = [
        key
        for key, text in texts.items()
        if (section := BY_COLUMN[key].section) and text.lower() not in sections[section].lower()
    ]
    assert wrong == []
    everything = "".join(sections.values())
    hidden = {key: text for key, text in texts.items() if not BY_COLUMN[key].section}
    assert found_in(hidden, everything) == set()
    assert sections["sessions"] != "[]"


def test_what_is_sealed_cannot_be_read_in_the_rows(world):
    _, texts = world
    sealed = {
        key: text for key, text in texts.items() if BY_COLUMN[key].protection != Protection.READABLE
    }
    assert found_in(sealed, texts_of_database()) == set()


def test_an_erasure_leaves_only_what_the_registry_says(world, frozen):
    user, texts = world
    PrivacyService().erase_user(identifier=user.pk, reason="asked", caller=STAFF)
    assert erase_due(now=frozen.now) == 1, list(ItemFault.objects.values_list("error"))
    seal_due(now=frozen.now)
    while empty_contents(500)[0]:
        pass

    stays = {
        key
        for key, field in BY_COLUMN.items()
        if field.erasure in (OnErasure.EVIDENCE, OnErasure.EXPIRES)
    }
    assert found_in(texts, texts_of_database()) - stays == set()
    assert not Session.objects.exists()
    evidence = ("notifications.ConsentRecord", "wording")
    assert evidence in found_in(texts, texts_of_database())
