"""Pictures of previews: what an author names leads nowhere inside, and comes back as a picture."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from notifications.features.previews.pictures import SHOWN_FOR, pictured
from notifications.infra import clock
from notifications.infra.http import client as http
from notifications.infra.http import pictures
from notifications.infra.http.pictures import MOST_BYTES, PictureRefused, fetch_picture, kind_of
from notifications.infra.links import LinkKind, picture_url, sign_link
from notifications.testing.servers import Act, HTTPScript, HTTPSink, Reply
from notifications.web.previews import pictures as view
from tests.attacks.test_requests_to_inside import INSIDE

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
URL = "https://pictures.example/logo.png"
Change = Callable[..., None]


@pytest.fixture(autouse=True)
def _images(override_environment: Change) -> None:
    override_environment(console_images=True)


def link(url: str = URL, **values: Any) -> str:
    """The path of the link by which a preview loads a picture."""
    ends = values.pop("ends", None) or clock.now() + timedelta(minutes=1)
    return picture_url(url, 7, ends=ends, **values).partition("://")[2].partition("/")[2]


def get(path: str) -> Any:
    return Client(raise_request_exception=False).get(f"/{path}")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs that were fetched; each is a picture."""
    urls: list[str] = []

    def fetch(url: str) -> pictures.Picture:
        urls.append(url)
        return pictures.Picture("image/png", PNG)

    monkeypatch.setattr(pictures, "fetch_picture", fetch)
    return urls


@pytest.mark.django_db
class TestLinks:
    def test_a_link_gives_the_picture_to_a_frame_and_to_no_cache(self, found: list[str]) -> None:
        answer = get(link())
        assert (answer.status_code, answer.content, found) == (200, PNG, [URL])
        assert answer["Content-Type"] == "image/png"
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert not answer.cookies

    def test_it_is_off_by_default(self, found: list[str], override_environment: Change) -> None:
        override_environment(console_images=False)
        assert (get(link()).status_code, found) == (404, [])
        html = f'<img src="{URL}">'
        assert pictured(html, viewer=7, now=clock.now()) == (html, "")

    def test_a_forged_link_fetches_nothing(self, found: list[str]) -> None:
        good = link()
        given = {name: each[0] for name, each in parse_qs(urlsplit(good).query).items()}
        token = given["token"]
        body, _dot, tag = token.rpartition(".")
        other = sign_link(LinkKind.CONFIRM, *body.split(".")[1:])
        later = ".".join([*body.split(".")[:2], "99999999999", body.split(".")[3], tag])
        for query in (
            {},
            {"url": URL},
            {"token": token},
            {"token": token, "url": f"{URL}?x"},
            {"token": f"{body}.{'A' * len(tag)}", "url": URL},
            {"token": other, "url": URL},
            {"token": later, "url": URL},
            {"token": token.replace("g.7.", "g.8.", 1), "url": URL},
            {"token": "g.x.y.z", "url": URL},
            {"token": "\u0661" * 30, "url": URL},
        ):
            answer = Client().get("/preview-images", query)
            assert answer.status_code == 403, query
        assert get(link(ends=clock.now())).status_code == 403
        assert Client().post(f"/{good}").status_code in (403, 405)
        assert found == []

    def test_a_link_ends_soon(self, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        now = clock.now()
        shown = pictured(f'<p><img src="{URL}"></p>', viewer=7, now=now)
        path = shown.html.partition('src="')[2].partition('"')[0].replace("&amp;", "&")
        path = path.partition("://")[2].partition("/")[2]
        assert get(path).status_code == 200
        monkeypatch.setattr(clock, "now", lambda: now + SHOWN_FOR)
        assert get(path).status_code == 403
        assert found == [URL]

    def test_a_viewer_has_so_many_a_minute(
        self, found: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert view.PICTURES_A_MINUTE <= 300
        monkeypatch.setattr(view, "PICTURES_A_MINUTE", 3)
        path = link()
        assert [get(path).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert len(found) == 3


@pytest.mark.django_db
@pytest.mark.once
def test_no_spelling_leads_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    async def connect(*given: Any, **_: Any) -> Any:
        opened.append(given)
        raise OSError("a connection was attempted")

    monkeypatch.setattr(http.aiohappyeyeballs, "start_connection", connect)
    for url in INSIDE:
        with pytest.raises(PictureRefused):
            fetch_picture(url)
    assert get(link("http://169.254.169.254/latest/meta-data/")).status_code == 502
    assert opened == []


class TestAnswers:
    @pytest.fixture(autouse=True)
    def _private(self, override_environment: Change) -> None:
        override_environment(webhook_allow_private=True)

    def refusal(self, script: HTTPScript, **given: Any) -> tuple[str, int]:
        """Returns why a picture is refused, and how many requests its server got."""
        with HTTPSink(script=script).run_in_thread() as sink:
            with pytest.raises(PictureRefused) as refused:
                fetch_picture(f"{sink.url}/logo.png", **given)
            return str(refused.value), sink.count

    def test_a_picture_is_one_by_its_first_bytes(self) -> None:
        headers = {"Content-Type": "text/html"}
        with HTTPSink(script=lambda _: Reply(body=PNG, headers=headers)).run_in_thread() as sink:
            assert fetch_picture(f"{sink.url}/x") == ("image/png", PNG)
            (request,) = sink.requests
        assert "cookie" not in request.headers
        assert "referer" not in request.headers

    @pytest.mark.parametrize("body", [SVG, b"<html>", b"", b"GIF88a", b"\xff\xd8", b"RIFF0000WAVE"])
    def test_what_is_no_picture_is_refused(self, body: bytes) -> None:
        headers = {"Content-Type": "image/png"}
        why, _count = self.refusal(lambda _: Reply(body=body, headers=headers))
        assert "no PNG, JPEG, GIF or WebP" in why

    def test_a_redirect_is_not_followed(self) -> None:
        for status in (301, 302, 303, 307, 308):
            reply = Reply(status, headers={"Location": "http://169.254.169.254/"}, body=PNG)
            why, count = self.refusal(lambda _, reply=reply: reply)
            assert (why, count) == (f"the server answered {status}", 1)

    def test_a_big_body_is_refused(self) -> None:
        big = PNG + b"\0" * MOST_BYTES
        why, _count = self.refusal(lambda _: Reply(body=big))
        assert "more than 2,000,000 bytes" in why
        with HTTPSink(script=lambda _: Reply(body=big[:MOST_BYTES])).run_in_thread() as sink:
            assert len(fetch_picture(sink.url).body) == MOST_BYTES

    def test_a_slow_or_silent_server_is_left(self) -> None:
        why, _count = self.refusal(lambda _: Reply(body=PNG, drip_s=0.05), timeout_s=0.3)
        assert "no response in time" in why
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
        why, _count = self.refusal(lambda _: Reply(raw=head + PNG), timeout_s=0.3)
        assert "did not come in time" in why
        why, _count = self.refusal(lambda _: Act.HANG, timeout_s=0.3)
        assert "no response in time" in why

    def test_a_body_that_is_cut_off_is_refused(self) -> None:
        why, _count = self.refusal(lambda _: Reply(body=PNG * 9, cut=True))
        assert "did not come in time" in why


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b" \x89PNG\r\n\x1a\n", ""),
        (b"\0\0\0 ftypavif", ""),
    ],
)
def test_the_types(body: bytes, kind: str) -> None:
    assert kind_of(body) == kind
