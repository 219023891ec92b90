"""Rules that cannot be inlined reach the reader of a published mail, as HTML and as MJML."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.callers import SYSTEM
from notifications.features.sending.service import NotificationService
from notifications.features.templates.service import TemplateService
from notifications.models import SandboxMessage
from tests.integration.factories import make_user
from tests.integration.preferences.conftest import work

pytestmark = [pytest.mark.django_db, pytest.mark.once]
SHEET = (
    ".go{color:red} .go:hover{color:blue !important} .go::first-letter, p{margin:0}"
    " @media (max-width:600px){.go{color:green !important}}"
)
HTML = (
    f"<html><head><style>{SHEET}</style></head><body><p>{{{{ user.first_name|default('you') }}}}"
    "</p><a class='go' href='https://x.example/'>Go</a></body></html>"
)
MJML = (
    f"<mjml><mj-head><mj-style inline='inline'>{SHEET}</mj-style></mj-head><mj-body><mj-section>"
    "<mj-column><mj-text><p>{{ user.first_name|default('you') }}</p>"
    "<a class='go' href='https://x.example/'>Go</a></mj-text></mj-column></mj-section></mj-body>"
    "</mjml>"
)


@pytest.mark.parametrize("source", [HTML, MJML], ids=["html", "mjml"])
def test_rules_of_states_are_in_a_stylesheet_of_the_sent_mail(source: str) -> None:
    html = sent(source)

    styles = html[: html.index("<body")]
    assert ".go:hover{color:blue !important}" in styles
    assert ".go::first-letter" in styles
    assert "@media (max-width:600px){.go{color:green !important}}" in styles
    assert 'style="color: red;">Go</a>' in html
    assert '<p style="margin: 0;">Ada</p>' in html
    assert "data-css-inline" not in html
    assert "zqjz" not in html


def test_only_rules_of_states_remain_in_the_stylesheet() -> None:
    html = sent(HTML)

    assert ".go{color:red}" not in html
    assert "p{margin:0}" not in html.replace(" ", "")


def sent(source: str) -> str:
    """Returns the HTML that the mail provider receives."""
    body = {
        "name": "T",
        "path": "test.t",
        "email_subject_template": "Hi",
        "email_html_template": source,
        "status": "published",
    }
    made = TemplateService().create(body=body, caller=SYSTEM)
    assert [each for each in made.warnings if "stylesheet" in each] == []
    NotificationService().send(
        body={"template_path": "test.t", "user_id": make_user().pk, "channel": "email"},
        caller=SYSTEM,
    )
    assert work() > 0
    found: Any = SandboxMessage.objects.get().content["html"]
    return str(found)
