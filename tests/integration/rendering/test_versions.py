"""Stored versions: loaded once, several by one query, never stale."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.domain.errors import NotFound
from notifications.models import DeadLetter, Notification, SandboxMessage, TemplateVersion
from notifications.rendering import CachedTemplateEngine
from notifications.rendering import versions as rendering
from tests.integration.factories import make_template, make_user
from tests.integration.preferences.conftest import message, send, work

pytestmark = pytest.mark.django_db


def test_many_versions_cost_one_query_and_then_none() -> None:
    ids = [make_template(f"test.many{n}").current_version_id for n in range(5)]

    with CaptureQueriesContext(
        connection,
    ) as first:
        found = rendering.versions_of(ids)
    with CaptureQueriesContext(connection) as again:
        rendering.versions_of(ids)

    assert [found[key].version_id for key in ids] == ids
    assert (len(first), len(again)) == (1, 0)


def test_a_version_shows_its_own_texts_after_another_was_published() -> None:
    template = make_template(in_app_template="old")
    old = template.current_version_id
    template.in_app_template = "new"
    template.save()

    shown = [
        rendering.version_of(key).render(channel="in_app", locale="en", context={"amount": 1}).body
        for key in (old, template.current_version_id)
    ]

    assert shown == ["old", "new"]


def test_an_unknown_version_is_reported() -> None:
    with pytest.raises(NotFound) as caught:
        rendering.version_of(None)

    assert caught.value.code == "unknown_template"
    assert rendering.versions_of([999_999]) == {}


def test_the_cache_never_exceeds_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "CACHED_VERSIONS", 2)
    ids = [make_template(f"test.many{n}").current_version_id for n in range(4)]
    rendering.versions_of(ids)

    with CaptureQueriesContext(connection) as queries:
        rendering.versions_of(ids[2:])
        rendering.version_of(ids[0])

    assert len(queries) == 1


def test_precompiling_counts_the_texts_of_active_templates() -> None:
    make_template("test.one", translations={"ru": {"sms_template": "Привет"}})
    make_template("test.off", is_active=False)

    assert rendering.precompile() == 6


def test_a_version_that_cannot_be_compiled_any_more_does_not_stop_a_start() -> None:
    well = make_template("test.well")
    broken = make_template("test.broken")
    texts = {"en": {"push_template": "{{ a"}}
    TemplateVersion.objects.filter(pk=broken.current_version_id).update(content=texts)

    assert rendering.precompile() >= len(well.content()["en"])


def test_the_caching_engine_precompiles_what_is_published() -> None:
    make_template("test.one")
    make_template("test.draft", status="draft")

    assert async_to_sync(CachedTemplateEngine().precompile_templates)() == 5


def test_a_message_whose_template_was_deleted_fails_and_is_no_empty_mail() -> None:
    make_template()
    response = send(make_user())
    Notification.objects.update(template_version_id=999_999)

    work()

    assert message(response).status == "failed"
    assert DeadLetter.objects.get().code == "template_deleted"
    assert not SandboxMessage.objects.exists()
