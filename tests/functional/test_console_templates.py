"""Templates in the console, in real Chromium: written, previewed and published in two languages."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.clients.pages import violations
from tests.functional.test_browser import pytestmark  # noqa: F401
from tests.functional.test_console import SIZES, Console, console  # noqa: F401
from tests.functional.test_sign_in import shot

SLOW = 30_000
"""Milliseconds: what is typed is checked after a pause, by a process that starts first."""
_NUMBER = """
from notifications.models import NotificationTemplate
print(NotificationTemplate.objects.get(path={path!r}).pk)
"""
_PUBLISHED = """
from notifications.models import NotificationTemplate
row = NotificationTemplate.objects.get(path="user.journey")
for locale, texts in sorted(row.current_version.content.items()):
    print(locale, texts["email_subject_template"], texts["sms_template"])
"""
_HTML = (
    '<!doctype html><html lang="{locale}"><head><style>'
    "@media (prefers-color-scheme: dark) {{ p {{ color: #ffd700 }} }}</style></head>"
    "<body><h1>{{{{ amount }}}}</h1><p>{text}</p>"
    '<img src="data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="'
    ' alt="{text}"></body></html>'
)
PAGES = ("", "/edit", "/preview", "/diff", "/settings", "/publish")


def number_of(console: Console, path: str) -> str:  # noqa: F811
    return console.place.python(_NUMBER.format(path=path)).strip()


def write(page: Page, name: str, text: str, *, scripts: bool) -> None:
    """Writes a text into a field: of the editor where scripts run, else a plain one."""
    box = f".cm-content[data-field={name}]" if scripts else f"textarea[name={name}]"
    page.locator(box).fill(text)


@pytest.mark.parametrize(("size", "scheme"), [("narrow", "dark"), ("wide", "light")])
def test_every_page_fits_and_axe_finds_nothing(
    console: Console,  # noqa: F811
    size: str,
    scheme: Any,
) -> None:
    width, height = SIZES[size]
    number = number_of(console, "user.payment.success")
    context = console.open(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    wrong: dict[str, Any] = {}
    pages = PAGES if size == "narrow" else PAGES[:3]
    paths = ["", "/new", *(f"/{number}{each}" for each in pages)]
    for path in paths:
        answer = page.goto(console.url(f"/console/templates{path}"), wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        name = path.replace(f"/{number}", "one").replace("/", "-")
        shot(page, f"templates-{name}-{size}-{scheme}")
        found = violations(page)
        over = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        if found or over > 0:
            wrong[path] = (found, over)
    context.close()
    assert wrong == {}


@pytest.mark.parametrize("scripts", [True, False])
def test_a_template_is_written_previewed_and_published_in_two_languages(
    console: Console,  # noqa: F811
    scripts: bool,
) -> None:
    context = console.open(java_script_enabled=scripts)
    page = context.new_page()
    page.goto(console.url("/console/templates/"))
    page.get_by_role("link", name="New template").click()
    page.get_by_label("Path").fill("user.journey")
    page.get_by_label("Name").fill("A journey")
    page.get_by_label("Category").select_option("payment")
    page.get_by_role("button", name="Create a draft").click()
    expect(page.get_by_role("status")).to_contain_text("Write its texts")

    write(page, "email_subject_template", "Paid {{ amount }}", scripts=scripts)
    write(page, "email_html_template", _HTML.format(locale="en", text="Thank you"), scripts=scripts)
    page.get_by_text("SMS", exact=True).first.click()
    write(page, "sms_template", "Paid {{ amount }}", scripts=scripts)
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_role("status")).to_contain_text("The draft is saved.")

    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Required variables").fill("amount")
    page.get_by_label("Example for previews").fill('{"amount": "12.50"}')
    page.get_by_role("button", name="Save the settings").click()
    page.get_by_role("link", name="Edit").click()

    page.get_by_label("Add a language").fill("ru")
    page.get_by_role("button", name="Write it").click()
    write(page, "email_subject_template", "Оплачено {{ amount }}", scripts=scripts)
    write(page, "email_html_template", _HTML.format(locale="ru", text="Спасибо"), scripts=scripts)
    page.get_by_text("SMS", exact=True).first.click()
    write(page, "sms_template", "Оплачено {{ amount }}", scripts=scripts)
    if not scripts:
        page.get_by_role("button", name="Show without saving").click()
    shown = page.frame_locator("iframe[name=look]")
    expect(shown.get_by_text("Спасибо")).to_be_visible(timeout=SLOW)
    page.get_by_role("button", name="Save and preview").click()

    for locale, text in (("en", "Thank you"), ("ru", "Спасибо")):
        frame = page.frame_locator(f'iframe[title="Email, {locale}: HTML"]')
        expect(frame.get_by_text(text)).to_be_visible()
        expect(frame.get_by_role("heading", name="12.50")).to_be_visible()
    page.get_by_role("link", name="dark").click()
    page.get_by_role("link", name="390 px").click()
    page.get_by_role("link", name="switched off").click()
    frame = page.frame_locator('iframe[title="Email, ru: HTML"]')
    expect(frame.get_by_text("Спасибо")).to_have_css("color", "rgb(255, 215, 0)")
    shot(page, f"templates-journey-{scripts}")

    page.get_by_role("link", name="Publish").click()
    expect(page.get_by_text("The draft has no faults.")).to_be_visible()
    page.get_by_role("button", name="Publish now").click()
    expect(page.get_by_role("status")).to_contain_text("Published as version 1.")
    assert console.place.python(_PUBLISHED).splitlines() == [
        "en Paid {{ amount }} Paid {{ amount }}",
        "ru Оплачено {{ amount }} Оплачено {{ amount }}",
    ]
    assert all("img-src 'none'" in each for each in console.faults)
    console.faults.clear()  # Chromium reports each image that the policy keeps away
    console.place.python(
        "from notifications.models import NotificationTemplate as T;"
        "row = T.objects.get(path='user.journey');"
        "T.objects.filter(pk=row.pk).update(current_version=None); row.delete()"
    )
    context.close()


def test_the_editor_completes_checks_and_shows_what_is_typed(console: Console) -> None:  # noqa: F811
    number = number_of(console, "user.payment.success")
    context = console.open(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto(console.url(f"/console/templates/{number}/edit"))
    editor = page.get_by_role("textbox", name="Text: SMS")
    expect(editor).to_have_attribute("data-field", "sms_template")
    expect(page.locator(".cm-editor .cm-line").first).to_have_css("color", "rgb(24, 32, 43)")
    editor.fill("")
    editor.press_sequentially("Paid {{ amo")
    page.get_by_role("option", name="amount").click()
    editor.press_sequentially("|curr")
    page.get_by_role("option", name="currency").first.click()
    expect(editor).to_have_text("Paid {{ amount|currency}}")
    fault = page.locator("[data-faults=sms_template] p")
    editor.fill("Paid {{ amount")
    expect(fault).to_contain_text("line 1", timeout=SLOW)
    expect(page.locator(".cm-lintRange-error")).to_be_visible()
    shot(page, "templates-editor-faults")
    assert violations(page) == []
    editor.fill("Paid {{ amount|currency }}")
    expect(fault).to_have_count(0, timeout=SLOW)
    page.get_by_role("region", name="As it is now").get_by_label("Channel").select_option("sms")
    frame = page.frame_locator("iframe[name=look]")
    expect(frame.get_by_text("Paid $29.99")).to_be_visible(timeout=SLOW)
    shot(page, "templates-editor")
    context.close()


def test_the_warnings_of_a_template_are_loaded_into_its_page(console: Console) -> None:  # noqa: F811
    number = number_of(console, "user.payment.success")
    context = console.open()
    page = context.new_page()
    page.goto(console.url(f"/console/templates/{number}"))
    expect(page.locator("#checked")).to_contain_text("no faults", timeout=SLOW)
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    context.close()
