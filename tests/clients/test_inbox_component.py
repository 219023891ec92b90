"""`<carillon-inbox>` in real Chromium: the list, its actions, the keyboard, axe, languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.clients.conftest import Show
from tests.clients.inbox_server import Inbox, InboxServer, now_text
from tests.clients.pages import articles, badge, bell, focused, titles, violations
from tests.functional.installation import wait_until
from tests.functional.test_browser import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Chromium: make browser"),
]


def fill(inbox: Inbox, count: int, **values: Any) -> None:
    for number in range(1, count + 1):
        inbox.arrive(f"Number {number}", body=f"Body {number}", **values)


@pytest.fixture
def three(server: InboxServer) -> None:
    server.fill(lambda inbox: fill(inbox, 3))


def opened(show: Show, attributes: str = "", **more: Any) -> Page:
    page = show(attributes, **more)
    bell(page).click()
    expect(articles(page).first).to_be_visible()
    return page


def test_the_bell_counts_and_the_list_is_live(three: None, server: InboxServer, show: Show) -> None:
    page = show()
    expect(badge(page)).to_have_text("3")
    page.get_by_role("button", name="Notifications, 3 unread").click()
    expect(articles(page)).to_have_count(3)
    server.arrive("Another", body="Live")

    expect(articles(page)).to_have_count(4)
    assert titles(page) == ["Another", "Number 3", "Number 2", "Number 1"]
    expect(badge(page)).to_have_text("4")
    expect(page.locator("carillon-inbox > .sr, carillon-inbox .sr[role=status]")).to_have_text(
        "New notification: Another"
    )
    assert server.protocols[0].startswith("carillon.v1, bearer.")


def test_changes_of_other_devices_arrive(three: None, server: InboxServer, show: Show) -> None:
    page = opened(show)
    first, second, third = server.inbox.items
    server.change("read", [first], fields={"at": now_text()})
    server.change("archived", [second], fields={"at": now_text()})
    server.change("amended", [third], fields={"title": "Amended", "body": "New text"})

    expect(articles(page)).to_have_count(2)
    expect(articles(page).first).to_contain_text("New text")
    assert titles(page) == ["Amended", "Number 1"]
    expect(badge(page)).to_have_text("1")
    server.change("retracted", [third])
    expect(articles(page)).to_have_count(1)
    server.change("unread", [first])
    expect(badge(page)).to_have_text("1")
    server.change("read_all", up_to=server.inbox.seq, fields={"at": now_text()})
    expect(badge(page)).to_be_hidden()
    server.change("unarchived", [second])
    expect(articles(page)).to_have_count(2)


def test_actions_by_pointer_and_their_undo(three: None, server: InboxServer, show: Show) -> None:
    page = opened(show)
    articles(page).nth(1).hover()
    articles(page).nth(1).get_by_role("button", name="Archive").click()
    assert titles(page) == ["Number 3", "Number 1"]
    expect(badge(page)).to_have_text("2")
    page.get_by_role("button", name="Undo").click()
    expect(articles(page)).to_have_count(3)
    assert titles(page) == ["Number 3", "Number 2", "Number 1"]
    wait_until(lambda: server.requests_of("archive", "unarchive") == 2)

    articles(page).first.hover()
    articles(page).first.get_by_role("button", name="Mark as read").click()
    expect(badge(page)).to_have_text("2")
    articles(page).first.hover()
    articles(page).first.get_by_role("button", name="Snooze").click()
    page.get_by_role("menuitem", name="Until tomorrow").click()
    expect(page.locator("carillon-inbox .toast")).to_contain_text("Snoozed until")
    page.get_by_role("tab", name="Snoozed").click()
    expect(articles(page)).to_have_count(1)
    expect(articles(page).first).to_contain_text("Until ")
    articles(page).first.hover()
    articles(page).first.get_by_role("button", name="End snooze").click()
    expect(page.get_by_text("Nothing snoozed")).to_be_visible()


def test_all_are_read_and_that_is_undone(three: None, server: InboxServer, show: Show) -> None:
    page = opened(show)
    page.get_by_role("button", name="Mark all as read").click()
    expect(badge(page)).to_be_hidden()
    wait_until(lambda: server.inbox.unread() == 0)
    page.get_by_role("button", name="Undo").click()
    expect(badge(page)).to_have_text("3")
    wait_until(lambda: server.inbox.unread() == 3)


def test_an_action_that_fails_is_undone(three: None, server: InboxServer, show: Show) -> None:
    page = opened(show)
    server.refused.add("actions")
    articles(page).first.focus()
    page.keyboard.press("e")
    expect(page.locator("carillon-inbox .toast")).to_contain_text("Nothing was changed")
    assert titles(page) == ["Number 3", "Number 2", "Number 1"]
    expect(badge(page)).to_have_text("3")


def test_everything_works_by_keyboard_alone(three: None, server: InboxServer, show: Show) -> None:
    page = show()
    expect(badge(page)).to_have_text("3")
    page.keyboard.press("Tab")
    assert focused(page) == "Notifications, 3 unread"
    page.keyboard.press("Enter")
    expect(articles(page)).to_have_count(3)
    page.keyboard.press("ArrowDown")
    wait_until(lambda: "Number" in focused(page))
    page.keyboard.press("Home")
    assert "Number 3" in focused(page)
    page.keyboard.press("ArrowDown")
    assert "Number 2" in focused(page)
    page.keyboard.press("u")
    expect(badge(page)).to_have_text("2")
    page.keyboard.press("e")
    wait_until(lambda: "Number 1" in focused(page))
    assert titles(page) == ["Number 3", "Number 1"]
    page.keyboard.press("z")
    expect(articles(page)).to_have_count(3)

    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Mark as read"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert focused(page).startswith("For an hour")
    page.keyboard.press("ArrowUp")
    assert focused(page).startswith("Until")
    page.keyboard.press("Escape")
    assert focused(page) == "Snooze"
    page.keyboard.press("Escape")
    assert "Number 1" in focused(page)
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    expect(articles(page)).to_have_count(2)
    wait_until(lambda: any(item["snoozed_until"] for item in server.inbox.items.values()))

    page.keyboard.press("Shift+Tab")
    assert focused(page) == "Inbox"
    page.keyboard.press("ArrowRight")
    assert focused(page).startswith("Unread")
    page.keyboard.press("End")
    assert focused(page) == "Preferences"
    expect(page.get_by_role("switch").first).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    wait_until(lambda: server.inbox.overall["marketing_enabled"])
    page.keyboard.press("Escape")
    assert focused(page).startswith("Notifications")
    expect(page.locator("carillon-inbox .panel")).to_be_hidden()


def test_the_panel_closes_when_the_focus_or_a_click_is_elsewhere(three: None, show: Show) -> None:
    page = opened(show)
    page.locator("#after").focus()
    expect(page.locator("carillon-inbox .panel")).to_be_hidden()
    assert focused(page) == "After"
    bell(page).click()
    expect(articles(page).first).to_be_visible()
    page.mouse.click(30, 400)
    expect(page.locator("carillon-inbox .panel")).to_be_hidden()
    expect(bell(page)).to_have_attribute("aria-expanded", "false")


def test_a_long_list_loads_on_scrolling(server: InboxServer, show: Show) -> None:
    server.fill(lambda inbox: fill(inbox, 130))
    page = opened(show)
    expect(badge(page)).to_have_text("99+")
    expect(articles(page)).to_have_count(30)
    for _ in range(30):
        page.locator("carillon-inbox #list").evaluate("list => list.scrollTo(0, 1e6)")
        if articles(page).count() == 130:
            break
        page.wait_for_timeout(100)
    assert titles(page) == [f"Number {number}" for number in range(130, 0, -1)]
    assert server.requests["GET /inbox"] == 5

    server.arrive("On top")
    page.get_by_role("button", name="1 new").click()
    wait_until(lambda: "On top" in focused(page))


def test_an_entry_opens_its_link_and_is_read(server: InboxServer, show: Show) -> None:
    for url in ("/lessons/7", "javascript:alert(1)", "//evil.example/x"):
        server.arrive(f"To {url}", data={"url": url})
    page = opened(show)
    links = page.locator("carillon-inbox a.title")
    assert [link.get_attribute("href") for link in links.all()] == [f"{server.home}/lessons/7"]

    articles(page).first.click()
    expect(badge(page)).to_have_text("2")
    assert page.url == f"{server.home}/"
    page.evaluate("addEventListener('carillon-open', (event) => event.preventDefault())")
    articles(page).last.focus()
    page.keyboard.press("Enter")
    expect(badge(page)).to_have_text("1")
    assert page.url == f"{server.home}/"
    opens = page.evaluate("fired.filter(([type]) => type === 'carillon-open').map((e) => e[1].url)")
    assert opens == [None, f"{server.home}/lessons/7"]


HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>{{7*7}}</article>'


def test_texts_are_never_markup(server: InboxServer, show: Show) -> None:
    server.arrive(HOSTILE, body=HOSTILE, category=HOSTILE, data={"url": HOSTILE, "link": HOSTILE})
    page = opened(show)
    server.arrive(HOSTILE, body=HOSTILE)
    expect(articles(page)).to_have_count(2)

    assert titles(page) == [HOSTILE, HOSTILE]
    assert page.evaluate("window.hit") is None
    assert page.locator("carillon-inbox img, carillon-inbox script").count() == 0


def test_what_was_shown_in_a_visible_page_is_seen(
    three: None, server: InboxServer, show: Show
) -> None:
    page = show()
    expect(badge(page)).to_have_text("3")
    page.wait_for_timeout(1500)
    assert server.frames("seen") == []
    bell(page).click()
    wait_until(lambda: server.frames("seen"))
    assert set(server.frames("seen")[0]["ids"]) == set(server.inbox.items)
    late = server.arrive("Late")
    wait_until(lambda: len(server.frames("seen")) == 2)
    assert server.frames("seen")[1]["ids"] == [late]


def test_preferences_are_read_and_saved(three: None, server: InboxServer, show: Show) -> None:
    page = opened(show)
    page.get_by_role("tab", name="Preferences").click()
    page.get_by_role("switch", name="SMS").first.check()
    wait_until(lambda: server.inbox.overall["sms_enabled"])
    page.get_by_label("Messages that are not urgent").select_option("Daily digest")
    page.get_by_label("From").fill("21:30")
    wait_until(lambda: server.inbox.overall["quiet_hours_start"] == "21:30")
    page.get_by_label("Do not disturb").select_option("For a day")
    wait_until(lambda: server.inbox.overall["dnd_until"])
    page.locator("summary", has_text="Course").click()
    page.get_by_role("group", name="Course").get_by_role("switch", name="Email").uncheck()
    wait_until(lambda: server.inbox.categories.get("course", {}).get("email_enabled") is False)
    expect(page.locator("summary", has_text="Course")).not_to_contain_text("Email")
    assert [list(each) for each in server.frames("preferences")] == [["global"]] * 4 + [
        ["categories"]
    ]

    server.refused.add("preferences")
    page.get_by_role("switch", name="Push").first.click()
    expect(page.locator("carillon-inbox .toast")).to_contain_text("Nothing was changed")
    expect(page.get_by_role("switch", name="Push").first).to_be_checked()


class Held:
    """Requests that wait until the test lets them go on."""

    def __init__(self, page: Page, path: str, method: str) -> None:
        self._page, self._method = page, method
        self._routes: list[Route] = []
        page.route(path, self._hold)

    def _hold(self, route: Route) -> None:
        if route.request.method == self._method:
            self._routes.append(route)
        else:
            route.continue_()

    def release(self) -> None:
        """Lets the oldest one go on; waits for it first."""
        for _ in range(1000):
            if self._routes:
                self._routes.pop(0).continue_()
                return
            self._page.wait_for_timeout(20)
        raise TimeoutError(f"no {self._method} was sent")


def press(page: Page, control: Locator) -> None:
    """Presses a control with the pointer, and does not let go."""
    control.scroll_into_view_if_needed()
    control.hover()
    page.mouse.down()


def test_an_answer_takes_nothing_away_that_is_pressed_opened_or_typed(
    three: None, server: InboxServer, show: Show
) -> None:
    page = opened(show)
    page.get_by_role("tab", name="Preferences").click()
    sms, push = (page.get_by_role("switch", name=name).first for name in ("SMS", "Push"))
    expect(push).to_be_checked()
    held = Held(page, "**/api/v1/preferences", "PUT")
    sms.check()
    press(page, push)
    held.release()
    expect(page.locator("carillon-inbox .toast")).to_contain_text("Saved")
    page.mouse.up()
    expect(push).not_to_be_checked()
    held.release()
    wait_until(lambda: not server.inbox.overall["push_enabled"])

    page.get_by_label("From").focus()
    page.keyboard.type("9")  # the hour, in the evening; each part is saved
    held.release()
    wait_until(lambda: server.inbox.overall["quiet_hours_start"] == "21:00")
    page.keyboard.type("30")
    page.locator("summary", has_text="Course").click()
    held.release()
    held.release()
    wait_until(lambda: server.inbox.overall["quiet_hours_start"] == "21:30")
    course = page.get_by_role("group", name="Course").get_by_role("switch", name="Email")
    expect(course).to_be_visible()
    expect(page.get_by_label("From")).to_have_value("21:30")


def test_an_answer_takes_no_button_of_an_entry_away_that_is_pressed(
    three: None, server: InboxServer, show: Show
) -> None:
    page = opened(show)
    held = Held(page, "**/api/v1/inbox/*/read", "POST")
    first = articles(page).first
    first.hover()
    first.get_by_role("button", name="Mark as read").click()
    press(page, first.get_by_role("button", name="Archive"))
    with page.expect_response("**/read"):
        held.release()
    server.push(server.inbox.count())
    page.evaluate("() => new Promise((done) => setTimeout(done, 300))")
    page.mouse.up()  # the time of reading is another one now, which shows nothing new
    expect(articles(page)).to_have_count(2)


@pytest.mark.parametrize(
    ("lang", "tab", "name", "words"),
    [
        ("en", "Preferences", "News and offers", "Only with your consent"),
        ("ru", "Настройки", "Новости и предложения", "Только с вашего согласия"),  # noqa: RUF001 -- Russian
    ],
)
def test_marketing_says_that_it_needs_consent_and_gives_it(
    three: None, server: InboxServer, show: Show, lang: str, tab: str, name: str, words: str
) -> None:
    page = show(lang=lang)
    bell(page).click()
    page.get_by_role("tab", name=tab).click()
    row = page.locator("carillon-inbox label", has_text=name).first
    expect(row).to_contain_text(words)
    server.inbox.overall["marketing_enabled"] = True  # without the consent it gets nothing
    expect(row.get_by_role("switch")).not_to_be_checked()

    row.get_by_role("switch").check()
    wait_until(lambda: server.inbox.overall.get("data_processing_consent"))
    assert server.frames("preferences") == [
        {"global": {"marketing_enabled": True, "data_processing_consent": True}}
    ]
    row.get_by_role("switch").uncheck()
    wait_until(lambda: not server.inbox.overall["marketing_enabled"])
    assert server.frames("preferences")[1] == {"global": {"marketing_enabled": False}}


def test_errors_can_be_tried_again(server: InboxServer, show: Show) -> None:
    server.fill(lambda inbox: fill(inbox, 2))
    page = show()
    expect(badge(page)).to_have_text("2")
    server.refused.add("inbox")
    bell(page).click()
    expect(page.get_by_role("alert")).to_contain_text("This could not be loaded")
    server.refused.clear()
    page.get_by_role("button", name="Try again").click()
    expect(articles(page)).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "ru"])
def test_axe_finds_nothing(server: InboxServer, show: Show, scheme: Any, lang: str) -> None:
    server.fill(lambda inbox: fill(inbox, 3, priority=1, data={"url": "/x"}))
    server.arrive("Read", read_at=now_text(), created_at=now_text(days=9))
    page = show(lang=lang)
    page.emulate_media(color_scheme=scheme)
    expect(badge(page)).to_have_text("3")
    assert violations(page) == []
    bell(page).click()
    expect(articles(page)).to_have_count(4)
    assert violations(page) == []
    articles(page).first.focus()
    page.keyboard.press("s")
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(page.locator("carillon-inbox .toast")).to_be_visible()
    page.wait_for_timeout(300)  # until it has appeared
    assert violations(page) == []
    for tab in (2, 3, 4):
        page.get_by_role("tab").nth(tab).click()
        page.wait_for_timeout(200)
        assert violations(page) == [], tab


def test_russian_is_built_in(server: InboxServer, show: Show) -> None:
    server.fill(lambda inbox: fill(inbox, 2))
    page = show(lang="ru")
    expect(bell(page)).to_have_attribute("aria-label", "Уведомления, 2 непрочитанных")
    bell(page).click()
    expect(page.get_by_role("tab", name="Входящие")).to_be_visible()
    expect(articles(page).first).to_contain_text("Учёба")


def test_any_language_by_attributes_or_by_a_property(three: None, show: Show) -> None:
    page = show("""locale="de" messages='{"inbox": "Eingang", "title": "Mitteilungen"}'""")
    expect(badge(page)).to_have_text("3")
    bell(page).click()
    expect(page.get_by_role("tab", name="Eingang")).to_be_visible()
    expect(articles(page).first).to_contain_text("jetzt")
    page.evaluate("document.querySelector('carillon-inbox').messages = {unread: 'Neu'}")
    expect(page.get_by_role("tab", name="Neu")).to_be_visible()
    expect(page.get_by_role("dialog", name="Mitteilungen")).to_be_visible()


def test_right_to_left(three: None, show: Show) -> None:
    page = opened(show, lang="ar", direction="rtl")
    panel = page.locator("carillon-inbox .panel").bounding_box()
    dot = page.locator("carillon-inbox .dot").first.bounding_box()
    title = page.locator("carillon-inbox .title").first.bounding_box()
    assert panel
    assert dot
    assert title
    assert panel["x"] < 100
    assert dot["x"] > title["x"]
    articles(page).first.focus()
    page.keyboard.press("ArrowLeft")  # forward, in this direction
    assert focused(page) == "Mark as read"
    assert violations(page) == []


SMALL_TARGETS = """(all) => all.map((each) => each.getBoundingClientRect())
  .filter((box) => box.height < 40 || box.width < 40)"""


@pytest.mark.parametrize(
    "options", [{"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}]
)
def test_a_phone_shows_the_panel_on_the_whole_screen(
    three: None, server: InboxServer, show: Show, options: dict[str, object]
) -> None:
    page = opened(show)
    box = page.locator("carillon-inbox .panel").bounding_box()
    assert box == {"x": 0, "y": 0, "width": 360, "height": 740}
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = page.locator("carillon-inbox .panel button:visible").evaluate_all(SMALL_TARGETS)
    assert small == []
    articles(page).first.get_by_role("button", name="Actions").tap()
    page.get_by_role("menuitem", name="Snooze").tap()
    page.get_by_role("menuitem", name="For an hour").tap()
    expect(articles(page)).to_have_count(2)
    assert violations(page) == []
    page.get_by_role("button", name="Close").tap()
    expect(page.locator("carillon-inbox .panel")).to_be_hidden()


def test_less_motion_and_themes(three: None, server: InboxServer, show: Show) -> None:
    page = show('theme="dark"')
    page.emulate_media(reduced_motion="reduce", color_scheme="light")
    bell(page).click()
    expect(articles(page)).to_have_count(3)
    colour = "panel => getComputedStyle(panel).backgroundColor"
    assert page.locator("carillon-inbox .panel").evaluate(colour) == "rgb(27, 29, 34)"
    surface = "inbox => inbox.style.setProperty('--carillon-surface', '#102030')"
    page.locator("carillon-inbox").evaluate(surface)
    assert page.locator("carillon-inbox .panel").evaluate(colour) == "rgb(16, 32, 48)"
    server.arrive("New")
    expect(articles(page)).to_have_count(4)
    animation = articles(page).first.evaluate("row => getComputedStyle(row).animationName")
    assert animation == "none"


def test_inline_it_is_part_of_the_page(three: None, show: Show) -> None:
    page = show('view="inline"')
    expect(articles(page)).to_have_count(3)
    expect(bell(page)).to_be_hidden()
    page.mouse.click(5, 5)
    page.keyboard.press("Escape")
    expect(articles(page)).to_have_count(3)
    assert violations(page) == []


def test_it_can_be_moved_and_removed(
    three: None, server: InboxServer, show: Show, context: BrowserContext
) -> None:
    page = opened(show)
    page.evaluate("document.querySelector('main').append(document.querySelector('carillon-inbox'))")
    server.arrive("After the move")
    expect(badge(page)).to_have_text("4")
    assert server.requests["WS"] == 1
    page.evaluate("document.querySelector('carillon-inbox').remove()")
    wait_until(lambda: server.sockets == 0)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", page.url)
