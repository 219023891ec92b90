"""The pages of templates: list, template, editor, previews, publishing, versions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from notifications.domain.errors import RenderingBusy
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import Notification, NotificationTemplate, TemplateStatus
from tests.integration.console.conftest import As
from tests.integration.console.test_statements import statements
from tests.integration.factories import make_template

pytestmark = pytest.mark.django_db
LIST = "/console/templates"


@pytest.fixture
def author(as_role: As) -> Client:
    return as_role("author")


def seen(row: NotificationTemplate) -> str:
    row.refresh_from_db()
    return row.updated_at.isoformat()


def save(client: Client, row: NotificationTemplate, locale: str = "en", **texts: str) -> Any:
    body = {"locale": locale, "seen": seen(row), **texts}
    return client.post(f"{LIST}/{row.pk}/edit", body)


def publish(client: Client, row: NotificationTemplate) -> Any:
    return client.post(f"{LIST}/{row.pk}/publish", {"seen": seen(row)}, follow=True)


def test_the_list_shows_path_channels_languages_version_and_state(author: Client) -> None:
    make_template("user.payment.success", name="Paid", translations={"ru": {"sms_template": "Да"}})
    make_template("user.welcome", status=TemplateStatus.DRAFT)
    text = author.get(LIST).content.decode()
    row = text[text.index("user.payment.success") :].split("</tr>")[0]
    for words in ("Paid", "payment", "Email", "SMS", "en, ru", "version 1", "published"):
        assert words in row
    other = text[text.index("user.welcome") :].split("</tr>")[0]
    assert "never" in other
    assert "draft" in other


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("path=user.", {"user.a", "user.b"}),
        ("state=draft", {"user.b"}),
        ("state=inactive", {"other.c"}),
        ("channel=telegram", {"user.a"}),
        ("category=security", {"other.c"}),
        ("state=nonsense&channel=fax", {"user.a", "user.b", "other.c"}),
    ],
)
def test_the_list_is_filtered_by_links(author: Client, query: str, found: set[str]) -> None:
    security = make_template("x").category
    make_template("user.a", telegram_template="hi", supported_channels=[])
    make_template("user.b", status=TemplateStatus.DRAFT)
    row = make_template("other.c", is_active=False)
    category = type(security).objects.get(key="security")
    NotificationTemplate.objects.filter(pk=row.pk).update(category=category)
    text = author.get(f"{LIST}?{query}").content.decode()
    shown = set(re.findall(r"<code>([\w.]+)</code></a>", text)) - {"x"}
    assert shown == found


def test_a_template_is_made_written_and_published(author: Client) -> None:
    body = {"path": "user.new", "name": "New", "category": "payment", "default_locale": "en"}
    answer = author.post(f"{LIST}/new", body)
    row = NotificationTemplate.objects.get(path="user.new")
    assert answer["Location"] == f"{LIST}/{row.pk}/edit"
    answer = save(author, row, sms_template="Hello\r\nyou", push_template="")
    assert answer["Location"] == f"{LIST}/{row.pk}/edit?locale=en"
    assert save(author, row, "ru", sms_template="Привет").status_code == 302
    row.refresh_from_db()
    assert row.sms_template == "Hello\nyou"
    assert row.translations == {"ru": {"sms_template": "Привет"}}
    review = author.get(f"{LIST}/{row.pk}/publish").content.decode()
    assert "The draft has no faults." in review
    assert "<ins>Привет</ins>" in review
    answer = publish(author, row)
    assert "Published as version 1." in answer.content.decode()
    assert row.versions.count() == 1


def test_the_editor_shows_faults_beside_the_text_and_keeps_it(author: Client) -> None:
    row = make_template()
    answer = save(author, row, sms_template="{{ amount", push_template="new")
    assert answer.status_code == 400
    text = answer.content.decode()
    field = text[text.index('id="sms_template"') :].split("</div>")[0]
    assert "{{ amount" in field
    assert "line 1" in field
    assert ">\nnew</textarea>" in text
    row.refresh_from_db()
    assert row.sms_template != "{{ amount"


def test_two_authors_do_not_overwrite_each_other(author: Client) -> None:
    row = make_template()
    old = seen(row)
    assert save(author, row, sms_template="first").status_code == 302
    body = {"locale": "en", "seen": old, "sms_template": "second"}
    answer = author.post(f"{LIST}/{row.pk}/edit", body)
    assert answer.status_code == 409
    text = answer.content.decode()
    assert "Someone else changed the draft" in text
    assert ">\nsecond</textarea>" in text
    row.refresh_from_db()
    assert row.sms_template == "first"
    answer = author.post(f"{LIST}/{row.pk}/edit", {"locale": "en", "sms_template": "x"})
    assert answer.status_code == 400


def test_a_language_without_texts_ends(author: Client) -> None:
    row = make_template(translations={"ru": {"sms_template": "Да"}, "de": {"sms_template": "Ja"}})
    assert save(author, row, "ru", sms_template="").status_code == 302
    row.refresh_from_db()
    assert row.translations == {"de": {"sms_template": "Ja"}}


def test_settings_are_changed(author: Client) -> None:
    row = make_template()
    body = {
        "seen": seen(row),
        "name": "Other",
        "category": "payment",
        "default_priority": "2",
        "supported_channels": ["sms"],
        "required_variables": "amount, order.id\n",
        "optional_variables": "",
        "example_context": '{"amount": 3}',
    }
    url = f"{LIST}/{row.pk}/settings"
    assert author.post(url, body).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.default_priority, row.is_active) == ("Other", 2, False)
    assert row.required_variables == ["amount", "order.id"]
    assert row.example_context == {"amount": 3}
    body["seen"] = seen(row)
    answer = author.post(url, {**body, "example_context": "{", "default_priority": "x"})
    assert answer.status_code == 400
    assert "write a JSON object" in answer.content.decode()


def test_settings_that_someone_else_changed_are_shown_beside_and_can_be_saved(
    author: Client,
) -> None:
    row = make_template(name="Old", required_variables=["amount"], optional_variables=[])
    url = f"{LIST}/{row.pk}/settings"
    body = {
        "seen": seen(row),
        "name": "Mine",
        "category": "payment",
        "default_priority": str(row.default_priority),
        "is_active": "yes",
        "required_variables": "amount\r\n",
        "example_context": "{}",
    }
    save(author, row, sms_template="{{ amount }}")
    NotificationTemplate.objects.filter(pk=row.pk).update(name="Theirs", supported_channels=[])
    answer = author.post(url, body)
    assert answer.status_code == 409
    text = answer.content.decode()
    table = text[text.index("<tbody>") : text.index("</tbody>")]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", table) == ["Name", "Theirs", "Mine"]
    assert 'name="name" value="Mine"' in text
    assert "Save mine" in text
    found = re.search(r'name="seen" value="([^"]+)"', text)
    assert found is not None
    assert author.post(url, {**body, "seen": found[1]}).status_code == 302
    row.refresh_from_db()
    assert row.name == "Mine"


def test_the_settings_keep_a_category_that_is_not_offered(
    author: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_template()
    monkeypatch.setattr("console.categories.MOST", 0)
    text = author.get(f"{LIST}/{row.pk}/settings").content.decode()
    assert '<option value="payment" selected>' in text
    assert text.count("selected") == 2  # the other one is the priority


def test_a_retired_category_is_refused(author: Client) -> None:
    retired = make_template().category
    assert retired is not None
    type(retired).objects.filter(pk=retired.pk).update(retired_at=clock.now())
    body = {"path": "user.new", "name": "New", "category": retired.key, "default_locale": "en"}
    answer = author.post(f"{LIST}/new", body)
    assert answer.status_code == 400
    assert "is not a category" in answer.content.decode()


class TestFrames:
    def frame(self, client: Client, row: NotificationTemplate, **query: str) -> Any:
        return client.get(f"{LIST}/{row.pk}/frame", {"channel": "email", "locale": "en", **query})

    def test_a_frame_has_the_policy_of_what_an_author_wrote(self, author: Client) -> None:
        row = make_template(
            email_html_template="<!doctype html><html><script>x</script><p>{{ amount }}</p>",
            example_context={"amount": 7},
        )
        answer = self.frame(author, row, part="html")
        policy = answer["Content-Security-Policy"]
        assert policy.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src")
        assert answer["X-Frame-Options"] == "SAMEORIGIN"
        assert "<p>7</p>" in answer.content.decode()
        off = self.frame(author, row, part="html", images="off")
        assert "img-src 'none'" in off["Content-Security-Policy"]

    def test_pictures_of_other_hosts_come_through_this_service_where_allowed(
        self, author: Client, override_environment: Callable[..., None]
    ) -> None:
        url = "https://pictures.example/logo.png"
        html = f'<html><img src="{url}"></html>'
        row = make_template(email_html_template=html, example_context={"amount": 7})
        base = environment().public_url
        images = f"img-src data: {base}/static/"
        before = self.frame(author, row, part="html")
        assert f"{images};" in before["Content-Security-Policy"]
        assert f'src="{url}"' in before.content.decode()
        override_environment(console_images=True)
        answer = self.frame(author, row, part="html")
        assert f"{images} {base}/preview-images;" in answer["Content-Security-Policy"]
        assert f'src="{base}/preview-images?token=g.' in answer.content.decode()
        assert f'src="{url}"' not in answer.content.decode()
        off = self.frame(author, row, part="html", images="off")
        assert "img-src 'none'" in off["Content-Security-Policy"]

    def test_a_frame_shows_a_text_with_its_length_or_its_fault(self, author: Client) -> None:
        row = make_template(sms_template="<b>{{ amount }}</b>", example_context={"amount": 7})
        text = self.frame(author, row, channel="sms").content.decode()
        assert "&lt;b&gt;7&lt;/b&gt;" in text
        assert "8 characters (GSM-7), 1 segment<" in text
        NotificationTemplate.objects.filter(pk=row.pk).update(example_context={})
        assert "amount" in self.frame(author, row, channel="sms").content.decode()
        assert "no text" in self.frame(author, row, channel="telegram").content.decode()

    def test_unsaved_texts_are_shown_and_not_saved(self, author: Client) -> None:
        row = make_template(example_context={"amount": 7})
        body = {"channel": "sms", "locale": "ru", "sms_template": "Итого {{ amount }}"}
        text = author.post(f"{LIST}/{row.pk}/frame", body).content.decode()
        assert "Итого 7" in text
        row.refresh_from_db()
        assert row.translations == {}

    def test_frames_are_bounded_by_the_minute(
        self, author: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = make_template(example_context={"amount": 7})
        monkeypatch.setattr("console.authoring.previews.FRAMES_A_MINUTE", 2)
        statuses = [self.frame(author, row, channel="sms").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


def test_the_check_reports_lines_and_warnings_and_saves_nothing(author: Client) -> None:
    row = make_template(example_context={"amount": 7})
    url = f"{LIST}/{row.pk}/lint"
    body = {"locale": "ru", "sms_template": "{% if x %}\n{{ a b }}", "push_template": "да"}
    found = author.post(url, body).json()
    (fault,) = found["faults"]
    assert (fault["field"], fault["line"]) == ("sms_template", 2)
    html = "<table><tr><td><img src=a.png></td></tr></table>"
    found = author.post(url, {"locale": "en", "email_html_template": html}).json()
    assert any("email in en: images without an alternative text: 1" in w for w in found["warnings"])
    row.refresh_from_db()
    assert row.translations == {}


def test_the_check_is_bounded_by_the_minute(
    author: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_template()
    monkeypatch.setattr("console.authoring.editor.CHECKS_A_MINUTE", 1)
    statuses = [author.post(f"{LIST}/{row.pk}/lint", {}).status_code for _ in range(2)]
    assert statuses == [200, 429]
    answer = author.get(f"{LIST}/{row.pk}/publish")
    assert answer.status_code == 429
    assert "Publish now" not in answer.content.decode()
    assert "The texts are the same." not in answer.content.decode()
    assert "Not done:" in publish(author, row).content.decode()


def test_sentences_about_the_texts_are_those_of_the_reader(
    author: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_template(example_context={"amount": 7})
    assert "hourly limit, where one is set" in author.get(f"{LIST}/{row.pk}").content.decode()
    monkeypatch.setattr("console.authoring.editor.CHECKS_A_MINUTE", 1)
    body = {"email_html_template": "<html><img src=a.png></html>"}
    url, russian = f"{LIST}/{row.pk}/lint", {"Accept-Language": "ru"}
    found = author.post(url, body, headers=russian).json()
    assert any(
        "письмо на en: картинки без замещающего текста: 1 (a.png)" in each
        for each in found["warnings"]
    ), found
    fault = author.post(url, body, headers=russian).json()["fault"]
    assert "за минуту" in fault


def test_a_busy_pool_is_no_fault_of_the_texts(
    author: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_template(example_context={"amount": 7})
    old = seen(row)

    def busy(*_args: object, **_named: object) -> None:
        raise RenderingBusy(retry_after=1)

    monkeypatch.setattr("notifications.features.templates.trials.render_drafts", busy)
    texts = {"locale": "en", "channel": "sms", "sms_template": "{{ amount }}", "seen": old}
    for page in ("lint", "frame", "edit"):
        answer = author.post(f"{LIST}/{row.pk}/{page}", texts)
        assert answer.status_code == 503, page
        assert "busy rendering" in answer.content.decode()
    answer = author.get(f"{LIST}/{row.pk}/publish")
    assert answer.status_code == 503
    assert "Publish now" not in answer.content.decode()


def test_the_page_of_a_template_asks_for_findings_without_a_comparison(
    author: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_template()
    save(author, row, sms_template="{{ amount }} {{ other }}")
    url = f"{LIST}/{row.pk}/publish"
    assert f'hx-get="{url}"' in author.get(f"{LIST}/{row.pk}").content.decode()
    monkeypatch.delattr("notifications.features.templates.service.TemplateService.diff")
    text = author.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "the variable other is used but not declared" in text
    assert '<div id="findings">' in text
    assert "<h1>" not in text


def test_versions_are_compared_and_gone_back_to(author: Client) -> None:
    row = make_template(sms_template="one\n{{ amount }}")
    save(author, row, sms_template="two\n{{ amount }}")
    publish(author, row)
    url = f"{LIST}/{row.pk}/diff?from=1&to=2"
    text = author.get(url).content.decode()
    assert "<del>one</del>" in text
    assert "<ins>two</ins>" in text
    assert "-one" in author.get(f"{url}&view=unified").content.decode()
    assert author.get(f"{LIST}/{row.pk}/diff?from=9").status_code == 404
    answer = author.post(f"{LIST}/{row.pk}/rollback", {"version": "1", "seen": "2"}, follow=True)
    assert "published again, as version 3" in answer.content.decode()
    row.refresh_from_db()
    assert row.current_version is not None
    assert row.current_version.content["en"]["sms_template"] == "one\n{{ amount }}"
    answer = author.post(f"{LIST}/{row.pk}/rollback", {"version": ""}, follow=True)
    assert "name a version" in answer.content.decode()


def test_only_a_draft_that_was_seen_is_published(author: Client) -> None:
    row = make_template()
    save(author, row, sms_template="mine {{ amount }}")
    url = f"{LIST}/{row.pk}/publish"
    text = author.get(url).content.decode()
    found = re.search(r'name="seen" value="([^"]+)"', text)
    assert found is not None
    save(author, row, sms_template="another's {{ amount }}")
    answer = author.post(url, {"seen": found[1]})
    assert answer.status_code == 409
    text = answer.content.decode()
    assert "nothing was done" in text
    assert "another&#x27;s" in text
    row.refresh_from_db()
    assert row.versions.count() == 1
    found = re.search(r'name="seen" value="([^"]+)"', text)
    assert found is not None
    assert author.post(url, {"seen": found[1]}).status_code == 302
    assert row.versions.count() == 2
    assert "open the page again" in author.post(url, follow=True).content.decode()


def test_only_a_version_that_was_seen_is_gone_back_from(author: Client) -> None:
    row = make_template()
    for number in (2, 3):
        save(author, row, sms_template=f"{number} {{{{ amount }}}}")
        publish(author, row)
    url = f"{LIST}/{row.pk}/rollback"
    answer = author.post(url, {"version": "1", "seen": "2"})
    assert answer.status_code == 409
    assert "nothing was done" in answer.content.decode()
    assert 'name="seen" value="3"' in answer.content.decode()
    text = author.post(url, {"version": "1"}, follow=True).content.decode()
    assert "open the page again" in text
    assert row.versions.count() == 3
    assert author.post(url, {"version": "1", "seen": "3"}).status_code == 302
    assert row.versions.count() == 4


def test_only_admins_write_templates_of_the_service(author: Client, admin: Client) -> None:
    row = make_template("system.code")
    page = author.get(f"{LIST}/{row.pk}").content.decode()
    assert f"/console/templates/{row.pk}/edit" not in page
    assert save(author, row, sms_template="mine {{ amount }}").status_code == 400
    assert f"/console/templates/{row.pk}/edit" in admin.get(f"{LIST}/{row.pk}").content.decode()
    assert save(admin, row, sms_template="ours {{ amount }}").status_code == 302


@pytest.mark.parametrize(("role", "writes"), [("author", True), ("operator", False)])
def test_who_reads_a_template_sends_it_to_themselves_once(
    as_role: As, role: str, writes: bool
) -> None:
    row = make_template(example_context={"amount": 7})
    client = as_role(role)
    text = client.get(f"{LIST}/{row.pk}").content.decode()
    assert (f"/console/templates/{row.pk}/edit" in text) is writes
    once = re.search(r'name="once" value="([^"]+)"', text)
    assert once is not None
    body = {"once": once[1], "channel": "in_app"}
    first = client.post(f"{LIST}/{row.pk}/test", body, follow=True).content.decode()
    again = client.post(f"{LIST}/{row.pk}/test", body, follow=True).content.decode()
    ids = [re.search(r"Sent to you: notification ([\w-]+)", each) for each in (first, again)]
    assert ids[0] is not None
    assert ids[1] is not None
    assert ids[0][1] == ids[1][1]
    assert Notification.objects.count() == 1


def test_publishing_reports_warnings_and_refuses_faults(author: Client) -> None:
    row = make_template(required_variables=[])
    save(author, row, push_template="{{ amount }} {{ other }}")
    text = publish(author, row).content.decode()
    assert "the variable other is used but not declared" in text
    layout = make_template("layouts.x", email_html_template="<p>{% block b %}{% endblock %}</p>")
    NotificationTemplate.objects.filter(pk=layout.pk).update(
        sms_template="{% include 'no.such' %}", status=TemplateStatus.DRAFT
    )
    text = publish(author, layout).content.decode()
    assert "Not done:" in text


@pytest.mark.parametrize("page", ["", "/edit", "/settings", "/preview"])
def test_a_page_makes_as_many_statements_for_one_row_as_for_many(author: Client, page: str) -> None:
    row = make_template("user.a")
    paths = [LIST, f"{LIST}/{row.pk}{page}"]
    few = [len(statements(author, path)) for path in paths]
    for number in range(12):
        make_template(f"user.b{number}", translations={"ru": {"sms_template": "Да"}})
        row.sms_template = f"{number} {{{{ amount }}}}"
        row.save()
    assert row.versions.count() > 10
    many = [len(statements(author, path)) for path in paths]
    assert many == few
    assert max(many) <= 30


def test_the_editor_alone_has_its_script_and_styles_with_the_nonce(author: Client) -> None:
    row = make_template()
    for page in ("", "/edit", "/settings", "/preview", "/diff", "/publish"):
        answer = author.get(f"{LIST}/{row.pk}{page}")
        policy = answer["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert ("vendor/editor.min.js" in answer.content.decode()) is (page == "/edit")
        assert ("style-src 'self' 'nonce-" in policy) is (page == "/edit")


def test_publishing_a_layout_republishes_what_is_built_with_it(author: Client) -> None:
    layout = make_template("layouts.x", sms_template="{% block b %}{% endblock %} {{ amount }}")
    user = make_template(
        "user.x", sms_template="{% extends 'layouts.x' %}{% block b %}hi{% endblock %}"
    )
    save(author, layout, sms_template="{% block b %}{% endblock %}: {{ amount }}")
    url = f"{LIST}/{layout.pk}/publish"
    text = author.post(
        url, {"dependants": "yes", "seen": seen(layout)}, follow=True
    ).content.decode()
    assert "1 template that uses it was published again." in text
    assert user.versions.count() == 2
