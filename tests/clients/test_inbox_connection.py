"""The connection of `<carillon-inbox>` in real Chromium: tabs, lost connections, tokens."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.clients.conftest import Show
from tests.clients.inbox_server import InboxServer, make_token, now_text
from tests.clients.pages import articles, badge, bell, titles
from tests.functional.installation import wait_until
from tests.functional.test_browser import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Chromium: make browser"),
]
STORE = "document.querySelector('carillon-inbox').store"
SEQ = f"{STORE}.state.seq"


def is_live(page: Page) -> bool:
    return bool(page.evaluate(f"{STORE}.status === 'live'"))


def wait_live(server: InboxServer, page: Page) -> None:
    wait_until(lambda: server.sockets == 1 and is_live(page))


def open_list(page: Page) -> None:
    bell(page).click()
    wait_until(lambda: page.evaluate(f"{STORE}.state.windows.inbox.loaded"))


def test_tabs_share_one_connection_and_their_state(server: InboxServer, show: Show) -> None:
    pages = [show() for _ in range(3)]
    wait_live(server, pages[0])
    for page in pages:
        open_list(page)
    number = server.arrive("To all tabs")
    for page in pages:
        expect(articles(page)).to_have_count(1)
        expect(badge(page)).to_have_text("1")
    assert server.requests["WS"] == 1

    articles(pages[2]).first.focus()
    pages[2].keyboard.press("u")
    for page in pages:
        expect(badge(page)).to_be_hidden()
    assert server.inbox.items[number]["read_at"]


def test_the_end_of_the_leader_hands_over_without_a_miss(server: InboxServer, show: Show) -> None:
    pages = [show() for _ in range(4)]
    wait_live(server, pages[0])
    for page in pages:
        open_list(page)
    sent = []
    for page in pages[:3]:  # the leader ends three times, and events go on meanwhile
        for _ in range(3):
            sent.append(f"Number {len(sent)}")
            server.arrive(sent[-1])
        page.close()
        sent.append(f"Number {len(sent)}")
        server.arrive(sent[-1])
    expect(articles(pages[3])).to_have_count(len(sent))
    assert titles(pages[3]) == sent[::-1]
    assert pages[3].evaluate(SEQ) == server.inbox.seq
    assert server.sockets == 1


def test_a_tab_that_missed_frames_reads_them(server: InboxServer, show: Show) -> None:
    leader, other = show(), show()
    wait_live(server, leader)
    open_list(other)
    wait_until(lambda: is_live(other))
    # The tab loses what the leader sends, as a suspended tab may.
    other.evaluate("""window.post = BroadcastChannel.prototype.dispatchEvent;
      window.drop = (event) => event.stopImmediatePropagation();
      Object.defineProperty(MessageEvent.prototype, "data", {configurable: true,
        get() { return {is: "nothing"}; }})""")
    server.arrive("Missed")
    expect(badge(leader)).to_have_text("1")
    expect(badge(other)).to_be_hidden()
    other.evaluate("delete MessageEvent.prototype.data")
    other.evaluate("""() => {
      const frame = document.body.appendChild(document.createElement("iframe"));
      Object.defineProperty(MessageEvent.prototype, "data",
        Object.getOwnPropertyDescriptor(frame.contentWindow.MessageEvent.prototype, "data")); }""")
    server.arrive("Next")
    expect(articles(other)).to_have_count(2)
    assert titles(other) == ["Next", "Missed"]


def test_people_in_two_tabs_share_nothing(server: InboxServer, show: Show) -> None:
    ada, grace = make_token("ada"), make_token("grace")
    server.tokens |= {ada, grace}
    show(token=ada)
    show(token=grace)
    wait_until(lambda: server.sockets == 2)


def test_a_suspended_leader_is_replaced(server: InboxServer, show: Show) -> None:
    leader, other = show(), show()
    wait_live(server, leader)
    # A suspended tab holds its lock and answers nothing.
    leader.evaluate("BroadcastChannel.prototype.postMessage = () => {}")
    other.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    wait_until(lambda: server.requests["WS"] == 2)
    server.arrive("By the new leader")
    expect(badge(other)).to_have_text("1")
    wait_until(lambda: server.sockets == 1)


def test_a_lost_connection_resumes_where_it_was(server: InboxServer, show: Show) -> None:
    page = show()
    wait_live(server, page)
    open_list(page)
    for number in range(4):
        server.arrive(f"Number {number}")
        server.cut()
        server.arrive(f"Meanwhile {number}")
    expect(articles(page)).to_have_count(8)
    assert len(set(titles(page))) == 8
    expect(badge(page)).to_have_text("8")
    assert server.requests["GET /inbox"] == 1, "nothing was loaded again"


def test_after_a_restore_the_list_is_loaded_again(server: InboxServer, show: Show) -> None:
    for number in range(3):
        server.arrive(f"Number {number}")
    page = show()
    wait_live(server, page)
    open_list(page)
    expect(articles(page)).to_have_count(3)

    def lose_the_last(inbox: object) -> None:
        last = list(server.inbox.items)[-1]
        del server.inbox.items[last]
        server.inbox.seq = 2

    server.fill(lose_the_last)
    server.restore()
    expect(articles(page)).to_have_count(2)
    expect(badge(page)).to_have_text("2")
    server.arrive("After the restore")
    expect(articles(page)).to_have_count(3)
    assert titles(page)[0] == "After the restore"


@pytest.mark.parametrize(
    ("refused", "used"),
    [({"ws"}, "GET /inbox/stream"), ({"ws", "stream"}, "GET /inbox/events")],
)
def test_other_transports_follow_where_a_websocket_cannot_be_opened(
    server: InboxServer, show: Show, refused: set[str], used: str
) -> None:
    server.refused |= refused
    page = show()
    open_list(page)
    wait_until(lambda: server.requests[used] > 0 and is_live(page))
    assert server.requests["WS"] == 2
    number = server.arrive("By another way")
    expect(articles(page)).to_have_count(1)
    server.change("archived", [number], fields={"at": now_text()})
    expect(articles(page)).to_have_count(0)
    expect(badge(page)).to_be_hidden()
    server.arrive("One more")
    server.cut()
    server.arrive("Two more")
    expect(badge(page)).to_have_text("2")
    wait_until(lambda: page.evaluate(SEQ) == server.inbox.seq)


def test_a_restore_is_noticed_by_long_polls(server: InboxServer, show: Show) -> None:
    server.refused |= {"ws", "stream"}
    server.arrive("Before")
    page = show()
    open_list(page)
    wait_until(lambda: server.requests["GET /inbox/events"] > 0 and is_live(page))
    server.restore()
    server.arrive("After")
    expect(articles(page)).to_have_count(2)
    expect(badge(page)).to_have_text("2")


def test_a_token_is_renewed_over_the_open_socket(server: InboxServer, show: Show) -> None:
    fresh = make_token(mark="fresh")
    server.tokens.add(fresh)
    page = show(fresh=fresh)
    wait_live(server, page)
    server.push({"type": "token", "data": {"expires_at": now_text()}})
    wait_until(lambda: server.frames("token") == [{"jwt": fresh}])
    assert page.evaluate("fired.filter(([type]) => type === 'carillon-token')") == [
        ["carillon-token", "expiring"]
    ]
    assert server.requests["WS"] == 1
    assert page.evaluate("document.querySelector('carillon-inbox').token") == fresh


def test_a_token_is_renewed_before_its_end(server: InboxServer, show: Show) -> None:
    fresh, short = make_token(mark="fresh"), make_token(lasts=4)
    server.tokens |= {fresh, short}
    page = show(token=short, fresh=fresh)
    wait_live(server, page)
    wait_until(lambda: server.frames("token") == [{"jwt": fresh}])
    assert server.requests["WS"] == 1


def test_one_tab_asks_for_the_token_of_all(server: InboxServer, show: Show) -> None:
    fresh, short = make_token(mark="fresh"), make_token(lasts=6)
    server.tokens |= {fresh, short}
    pages = [show(token=short, fresh=fresh) for _ in range(2)]
    for page in pages:
        wait_until(lambda page=page: page.evaluate(f"{STORE}.token") == fresh)
    requests = [
        page.evaluate("fired.filter(([type]) => type === 'carillon-token').length")
        for page in pages
    ]
    assert sorted(requests) == [0, 1]


@pytest.mark.parametrize("first", ["", "wrong"])
def test_a_missing_or_refused_token_is_requested(
    server: InboxServer, show: Show, first: str
) -> None:
    fresh = make_token()
    server.tokens.add(fresh)
    page = show(token=first, fresh=fresh)
    wait_live(server, page)
    reason = "rejected" if first else "missing"
    assert page.evaluate("fired[0]") == ["carillon-token", reason]


def test_without_a_token_it_says_so_and_a_later_token_connects(
    server: InboxServer, show: Show
) -> None:
    server.arrive("First")
    page = show(token="wrong")
    bell(page).click()
    expect(
        page.locator("carillon-inbox").get_by_text("Your sign-in has ended").first
    ).to_be_visible()
    token = make_token()
    server.tokens.add(token)
    page.evaluate(f"document.querySelector('carillon-inbox').setAttribute('token', '{token}')")
    expect(articles(page)).to_have_count(1)
    wait_live(server, page)


def test_a_socket_closed_for_its_token_gets_another(server: InboxServer, show: Show) -> None:
    page = show()
    wait_live(server, page)
    old = server.tokens.copy()
    fresh = make_token(mark="fresh")
    server.tokens.clear()
    server.tokens.add(fresh)
    page.evaluate(f"window.fresh = '{fresh}'")
    server.cut(code=4401)
    wait_until(lambda: fresh in server.protocols[-1])
    wait_live(server, page)
    assert fresh not in old


def test_a_lost_connection_shows_after_a_while(server: InboxServer, show: Show) -> None:
    page = show()
    wait_live(server, page)
    open_list(page)
    strip = page.locator("carillon-inbox .strip")
    server.refused |= {"ws", "stream", "events"}
    server.cut()
    expect(strip).to_have_text("Reconnecting…")
    server.refused.clear()
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(strip).to_be_hidden()


def test_actions_show_at_once_and_are_sent_in_their_order(server: InboxServer, show: Show) -> None:
    ids = [server.arrive(f"Number {number}") for number in range(3)]
    page = show()
    wait_live(server, page)
    open_list(page)
    expect(articles(page)).to_have_count(3)
    server.delay = 1.0
    for key in "eee":
        articles(page).first.focus()
        page.keyboard.press(key)
    expect(articles(page)).to_have_count(0)
    expect(badge(page)).to_be_hidden()
    wait_until(lambda: all(server.inbox.items[each]["archived_at"] for each in ids))
    archived = [path for path in server.requests if re.search("archive$", path)]
    assert len(archived) == 3


def test_received_events_are_acknowledged(server: InboxServer, show: Show) -> None:
    page = show()
    wait_live(server, page)
    server.arrive("First")
    wait_until(lambda: {"seq": server.inbox.seq} in server.frames("ack"))
    wait_until(lambda: {"visible": True} in server.frames("active"))
