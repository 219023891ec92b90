"""What the mails of campaigns and broadcasts say: parameters in links, and tracking by choice."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from notifications.features.broadcasts.service import BroadcastWorkflow
from notifications.infra import clock
from notifications.models import Broadcast, SandboxMessage
from tests.integration.broadcasts.factories import launch as launch_broadcast
from tests.integration.campaigns.factories import (
    KEY,
    act,
    finish,
    make_campaign,
    make_students,
)
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db
UTM = {"utm_source": "news", "utm_campaign": "may"}


@pytest.fixture(autouse=True)
def _home(override_environment) -> None:
    override_environment(public_url="https://notify.example.com", tracking_url="")


def hrefs() -> list[str]:
    mail = SandboxMessage.objects.latest("pk")
    return [unescape(each) for each in re.findall(r'href="([^"]*)"', mail.content["html"])]


def test_links_have_the_parameters_and_those_of_leaving_do_not(frozen):
    make_students()
    finish(act("launch", make_campaign(channels=["email"], utm=UTM, track_clicks=False)))
    shop, news, leave = hrefs()[:3]
    assert shop == "https://shop.example/May?utm_source=news&utm_campaign=may"
    assert news == "https://news.example/?utm_source=own"
    assert leave.startswith("https://notify.example.com/unsubscribe/")
    assert "utm_" not in leave
    text = SandboxMessage.objects.latest("pk").content["body"]
    assert "https://shop.example/May?utm_source=news&utm_campaign=may" in text


def test_a_tracked_link_leads_to_the_url_with_its_parameters(frozen, client):
    make_students()
    made = make_campaign(channels=["email"], utm=UTM, track_clicks=True, track_opens=True)
    finish(act("launch", made))
    shop = hrefs()[0]
    assert urlsplit(shop).path == "/api/v1/track/click"
    target = parse_qs(urlsplit(shop).query)["url"][0]
    assert target == "https://shop.example/May?utm_source=news&utm_campaign=may"
    response = client.get(f"{urlsplit(shop).path}?{urlsplit(shop).query}")
    assert (response.status_code, response["location"]) == (302, target)
    assert "/track/open/" in SandboxMessage.objects.latest("pk").content["html"]


@pytest.mark.parametrize("wanted", [True, False, None])
def test_the_choice_of_a_campaign_counts_where_the_service_asks(
    frozen, override_environment, wanted
):
    override_environment(track_clicks="asked", track_opens="asked")
    make_students()
    finish(act("launch", make_campaign(channels=["email"], track_clicks=wanted)))
    assert any("/track/click" in each for each in hrefs()) is bool(wanted)


def test_a_broadcast_asks_for_tracking_too(frozen, override_environment):
    override_environment(track_clicks="asked", track_opens="asked")
    make_students()
    body = {
        "target_group": "all_students",
        "message": "See https://shop.example",
        "channels": ["email"],
        "track_clicks": True,
    }
    made = BroadcastWorkflow().create(body=body, caller=KEY, now=clock.now())
    assert (made.data.track_clicks, made.data.track_opens) == (True, None)
    change = {"track_opens": False}
    workflow = BroadcastWorkflow()
    changed = workflow.change(made.data.id, body=change, caller=KEY, now=clock.now())
    assert (changed.data.track_clicks, changed.data.track_opens) == (True, False)
    change = {"track_opens": None}
    changed = workflow.change(made.data.id, body=change, caller=KEY, now=clock.now())
    assert changed.data.track_opens is None
    launch_broadcast(Broadcast.objects.get(pk=made.data.id))
    while work():
        pass
    assert "/track/click" in SandboxMessage.objects.latest("pk").content["body"]
