"""Templates of the service's own mails are made when they are needed, whatever names are taken."""

from __future__ import annotations

import pytest

from notifications.features.templates.system import ensure_system_template
from notifications.rendering.texts import export_texts
from tests.integration.factories import make_template

pytestmark = pytest.mark.django_db


def test_a_template_is_made_once() -> None:
    first = ensure_system_template("security", export_texts.template_fields())
    again = ensure_system_template("security", export_texts.template_fields())
    assert again == first
    assert first.name == "Link to your data"
    assert first.current_version is not None


def test_a_taken_name_does_not_stop_the_mail() -> None:
    make_template("taken.name", name="Link to your data")
    made = ensure_system_template("security", export_texts.template_fields())
    assert made.path == export_texts.PATH
    assert made.name.startswith("Link to your data ")
