"""The sections of an export, in their order, and how to read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from directory.models import User
from notifications.features.privacy.export import (
    directory_sections,
    message_sections,
    record_sections,
)
from notifications.features.privacy.export.paging import ExportedPerson, ExportPage, ExportSection
from vault.store import scope

SECTIONS: tuple[ExportSection, ...] = tuple(
    ExportSection(each.__name__, each)
    for each in (
        directory_sections.profile,
        directory_sections.contact_points,
        directory_sections.address_proofs,
        directory_sections.devices,
        directory_sections.groups,
        directory_sections.lists,
        directory_sections.lessons,
        directory_sections.taught,
        directory_sections.tutoring,
        directory_sections.family,
        directory_sections.preferences,
        record_sections.consents,
        directory_sections.suppressions,
        message_sections.notifications,
        message_sections.inbox,
        message_sections.inbox_changes,
        message_sections.last_seen,
        message_sections.events,
        message_sections.conversions,
        message_sections.digests,
        message_sections.refused_sends,
        message_sections.frequency_counts,
        message_sections.engagement_hours,
        message_sections.received_texts,
        message_sections.broadcasts_received,
        message_sections.broadcasts_written,
        message_sections.campaigns_written,
        message_sections.holdouts,
        message_sections.mail_series,
        message_sections.mail_series_written,
        message_sections.series,
        record_sections.audit_entries,
        record_sections.tokens,
        record_sections.api_keys,
        record_sections.sessions,
        record_sections.sign_ins,
        record_sections.repeated_calls,
        record_sections.admin_log,
        record_sections.erasures,
    )
)
NAMES = tuple(section.name for section in SECTIONS)
Pages = Iterator[tuple[str, list[Any]]]
"""Names of sections with some of their items, in the order of SECTIONS."""


def read_page(section: int, user_id: int, after: str, *, own: bool) -> ExportPage | None:
    """Returns one page as values that JSON can hold; None where the person does not exist."""
    with scope():
        user = User.objects.filter(pk=user_id).first()
        if user is None:
            return None
        found = SECTIONS[section].page(ExportedPerson(user, own), after)
        items: list[Any] = msgspec.to_builtins(found.items, str_keys=True, enc_hook=str)
        return ExportPage(items, found.after)


def read_pages(user_id: int, *, own: bool) -> Pages:
    """Yields everything that is stored about a person, a page at a time, and stores nothing."""
    for place, section in enumerate(SECTIONS):
        after: str | None = ""
        while after is not None:
            page = read_page(place, user_id, after, own=own)
            if page is None:
                return
            yield section.name, page.items
            after = page.after
