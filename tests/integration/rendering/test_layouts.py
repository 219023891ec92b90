"""Layouts and partials of stored templates: pinned at publication, cached, published again."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.features.templates.service import TemplateService
from notifications.models import NotificationTemplate, TemplatePin
from notifications.rendering.versions import forget_versions, version_of

pytestmark = pytest.mark.django_db
service = TemplateService()


def write(path: str, text: str, **body: Any) -> Any:
    values = {"name": path, "path": path, "push_template": text, "status": "published"}
    return service.create(body={**values, **body}, caller=SYSTEM)


def change(made: Any, text: str, **body: Any) -> Any:
    service.update(identifier=made.id, body={"push_template": text}, caller=SYSTEM)
    return service.publish(identifier=made.id, caller=SYSTEM, **body)


def rendered(path: str) -> str:
    row = NotificationTemplate.objects.get(path=path)
    forget_versions()
    context = {"user": {}, "app_name": "School"}
    return (
        version_of(row.current_version_id).render(channel="push", locale="en", context=context).body
    )


LAYOUT = "[{% block body %}{% endblock %}]"
CHILD = "{% extends 'layouts.all' %}{% block body %}hi{% endblock %}"


def test_a_version_uses_the_layout_with_which_it_was_published() -> None:
    layout = write("layouts.all", LAYOUT)
    made = write("test.child", CHILD)

    change(layout, "<{% block body %}{% endblock %}>")

    assert rendered("test.child") == "[hi]"
    (version,) = service.versions(identifier=made.id, caller=SYSTEM)
    first = service.versions(identifier=layout.id, caller=SYSTEM)[-1]
    assert version.uses == {"layouts.all": first.id}
    assert service.publish(identifier=made.id, caller=SYSTEM).version == 2
    assert rendered("test.child") == "<hi>"


def test_dependants_are_republished_on_demand_each_once_and_their_drafts_remain() -> None:
    layout = write("layouts.all", LAYOUT)
    write("layouts.middle", "{% extends 'layouts.all' %}")
    both = write(
        "test.both",
        "{% extends 'layouts.middle' %}{% block body %}{% include 'layouts.all' %}{% endblock %}",
    )
    child = write("test.child", CHILD)
    service.update(identifier=child.id, body={"push_template": "half written"}, caller=SYSTEM)

    published = change(layout, "<{% block body %}{% endblock %}>", dependants=True)

    assert published.republished == ["layouts.middle", "test.child", "test.both"]
    assert (rendered("test.child"), rendered("test.both")) == ("<hi>", "<<>>")
    assert service.get(identifier=both.id, caller=SYSTEM).version == 2
    draft = service.get(identifier=child.id, caller=SYSTEM)
    assert (draft.status, draft.push_template) == ("draft", "half written")


def test_a_layout_that_breaks_a_dependant_is_not_published_with_it() -> None:
    layout = write("layouts.all", "{% macro m() %}x{% endmacro %}")
    write("test.child", "{% from 'layouts.all' import m %}{{ m() }}")

    with pytest.raises(InvalidRequest) as caught:
        change(layout, "nothing", dependants=True)

    (error,) = caught.value.errors
    assert (error.path, error.code) == ("dependants", "template_syntax")
    assert error.detail.startswith("test.child: ")
    assert service.get(identifier=layout.id, caller=SYSTEM).version == 1
    assert rendered("test.child") == "x"


def test_an_unpublished_layout_prevents_publication() -> None:
    write("layouts.all", LAYOUT, status="draft")

    with pytest.raises(InvalidRequest) as caught:
        write("test.child", CHILD)

    assert caught.value.code == "unknown_reference"
    assert "line 1: there is no published template 'layouts.all'" in caught.value.detail


def test_a_layout_that_is_switched_off_still_serves() -> None:
    write("layouts.all", LAYOUT, is_active=False)
    write("test.child", CHILD)

    assert rendered("test.child") == "[hi]"


def test_a_cycle_is_refused_at_publication() -> None:
    first = write("test.a", "a")
    write("test.b", "{% include 'test.a' %}")

    with pytest.raises(InvalidRequest) as caught:
        change(first, "{% include 'test.b' %}")

    assert caught.value.code == "template_cycle"
    assert "test.a -> test.b -> test.a" in caught.value.detail


def test_a_layout_in_use_is_switched_off_instead_of_deleted() -> None:
    layout = write("layouts.all", LAYOUT)
    child = write("test.child", CHILD)

    assert service.delete(identifier=layout.id, caller=SYSTEM) is False
    assert rendered("test.child") == "[hi]"
    assert service.delete(identifier=child.id, caller=SYSTEM) is True
    assert not TemplatePin.objects.exists()
    assert service.delete(identifier=layout.id, caller=SYSTEM) is True


def test_a_rollback_restores_the_layout_of_its_time() -> None:
    layout = write("layouts.all", LAYOUT)
    made = write("test.child", CHILD)
    change(layout, "<{% block body %}{% endblock %}>")
    change(made, CHILD + " ")
    service.update(identifier=made.id, body={"push_template": "half written"}, caller=SYSTEM)

    service.rollback(identifier=made.id, caller=SYSTEM, version=1)

    assert rendered("test.child") == "[hi]"
    assert service.rollback(identifier=made.id, caller=SYSTEM, version=2).status == "draft"
    assert rendered("test.child") == "<hi>"


def test_switching_off_does_not_change_the_layout() -> None:
    layout = write("layouts.all", LAYOUT)
    made = write("test.child", CHILD)
    change(layout, "<{% block body %}{% endblock %}>")

    changed = service.update(identifier=made.id, body={"is_active": False}, caller=SYSTEM)

    assert (changed.version, rendered("test.child")) == (1, "[hi]")


def test_publishing_a_draft_equal_to_the_current_version_creates_no_version() -> None:
    made = write("test.a", "a")
    service.update(identifier=made.id, body={"push_template": "b"}, caller=SYSTEM)

    published = change(made, "a")

    assert (published.status, published.version) == ("published", 1)
