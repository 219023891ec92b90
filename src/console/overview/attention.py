"""What needs attention first. The rules are those of the health checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.guard import Visit, may_open
from console.overview.recent import RecentValue
from console.overview.traffic import Traffic
from console.sentences.translating import translated
from console.shell import url_with
from notifications.domain.broadcast_lifecycle import BroadcastStatus
from notifications.domain.campaigns.lifecycle import CampaignApproval, CampaignStatus
from notifications.domain.channels import Lane
from notifications.features.background.loops import silent_loops
from notifications.features.operations.health import OLDEST_ALERT_S, health
from notifications.features.operations.health_results import HEALTHY
from notifications.features.operations.metrics import (
    open_breakers,
    open_dead_letters,
    workers_alive,
)
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import Broadcast, Campaign, KillSwitch, MailSeries

MOST_NAMED = 10
BOUNCES_OF_CONCERN = 0.05
"""Mail services suspend accounts from this share of bounces on."""
FEWEST_SENT = 100
"""With fewer messages a share says little."""
_NAMED_ABOVE = frozenset({"workers", "queues", "loops", "dead_letters", "providers"})
"""The checks whose reasons are concerns of their own."""
_LONGEST_DETAIL = 300
_CHECKS_LAST_S = 5.0
LaneFigures = Mapping[str, Mapping[str, float]]


class Concern(NamedTuple):
    """One thing that needs attention."""

    #: stop, bad or warn.
    tone: str
    title: str
    detail: str
    #: The page that shows more; empty where the role may not open it.
    link: str


class CheckResult(NamedTuple):
    """The result of one health check, without texts of operators."""

    is_well: bool
    reason: str


def _read_checks() -> Mapping[str, CheckResult]:
    found = health(now=clock.now()).checks
    return {
        name: CheckResult(each.status == HEALTHY, each.reason or "") for name, each in found.items()
    }


checks: RecentValue[Mapping[str, CheckResult]] = RecentValue(_read_checks, lasts_s=_CHECKS_LAST_S)
"""The health checks of this installation."""


def concerns(visit: Visit, lanes: LaneFigures, traffic: Traffic | None) -> list[Concern]:
    """Returns what needs attention, the most urgent first. traffic: None where it is not shown."""
    found = [*_stops(visit), *_workers(visit), *_lanes(visit, lanes), *_breakers(visit)]
    found += [*_dead_letters(visit), *_approvals(visit), *_loops(visit), *_checks(visit)]
    if traffic is not None:
        found += _bounces(visit, traffic)
    return found


def _link(visit: Visit, page: str) -> str:
    return f"/{page}" if may_open(visit, page) else ""


def _stops(visit: Visit) -> Iterator[Concern]:
    """Names the stops for every role; why something was stopped is for those who may stop."""
    link = _link(visit, "console/stops")
    for each in KillSwitch.objects.order_by("created_at", "pk")[:MOST_NAMED]:
        what = each.value or _("everything")
        title = _("Stopped: %(scope)s %(what)s") % {"scope": each.scope, "what": what}
        if each.scope == "all":
            title = _("Everything is stopped")
        yield Concern("stop", title, each.reason if link else "", link)


def _workers(visit: Visit) -> Iterator[Concern]:
    if not workers_alive():
        detail = _("Start one with: carillon worker")
        yield Concern("bad", _("No worker is alive"), detail, _link(visit, "console/queues"))


def _lanes(visit: Visit, lanes: LaneFigures) -> Iterator[Concern]:
    for lane, bound in OLDEST_ALERT_S.items():
        figures = lanes[Lane(lane).value]
        if figures["age_s"] > bound:
            title = _("Lane %(lane)s is late") % {"lane": Lane(lane).value}
            detail = _("the oldest message is %(seconds)d s overdue") % {
                "seconds": int(figures["age_s"])
            }
            yield Concern("bad", title, detail, _link(visit, "console/queues"))


def _breakers(visit: Visit) -> Iterator[Concern]:
    for provider, count in list(open_breakers().items())[:MOST_NAMED]:
        if count:
            title = _("%(provider)s is not called") % {"provider": provider}
            detail = ngettext(
                "%(count)d circuit breaker is open",
                "%(count)d circuit breakers are open",
                count,
            ) % {"count": count}
            yield Concern("bad", title, detail, _link(visit, "console/providers"))


def _dead_letters(visit: Visit) -> Iterator[Concern]:
    count = open_dead_letters()
    if count:
        is_alert = count >= environment().dead_letter_alert_threshold
        title = ngettext("%(count)d dead letter waits", "%(count)d dead letters wait", count) % {
            "count": count
        }
        detail = _("each needs a person's decision")
        tone = "bad" if is_alert else "warn"
        yield Concern(tone, title, detail, _link(visit, "console/dead-letters"))


def _approvals(visit: Visit) -> Iterator[Concern]:
    """Names what waits for a second person, to those who may approve it."""
    page, campaigns, series = "console/broadcasts", "console/campaigns", "console/series"
    if not may_open(visit, page):
        return
    detail = _("a second person must approve it")
    status = BroadcastStatus.AWAITING_APPROVAL.value
    if count := Broadcast.objects.filter(status=status).count():
        title = ngettext(
            "%(count)d broadcast waits for approval",
            "%(count)d broadcasts wait for approval",
            count,
        ) % {"count": count}
        yield Concern("warn", title, detail, url_with(f"/{page}", status=status))
    draft = CampaignStatus.DRAFT.value
    requested = Campaign.objects.filter(status=draft, approval=CampaignApproval.REQUESTED.value)
    if count := requested.count():
        title = ngettext(
            "%(count)d campaign waits for approval",
            "%(count)d campaigns wait for approval",
            count,
        ) % {"count": count}
        yield Concern("warn", title, detail, url_with(f"/{campaigns}", status=status))
    if count := MailSeries.objects.filter(approval=CampaignApproval.REQUESTED.value).count():
        title = ngettext(
            "%(count)d series waits for approval", "%(count)d series wait for approval", count
        ) % {"count": count}
        yield Concern("warn", title, detail, url_with(f"/{series}", status=status))


def _loops(visit: Visit) -> Iterator[Concern]:
    for loop in silent_loops()[:MOST_NAMED]:
        title = _("Periodic work is silent: %(name)s") % {"name": loop.name}
        detail = _("no round has ended for %(seconds)d s") % {"seconds": int(loop.age_s)}
        yield Concern("bad", title, detail, _link(visit, "console/queues"))


def _checks(visit: Visit) -> Iterator[Concern]:
    """Names every health check that fails, so that nothing is well here and bad in `/health`."""
    failing = {name: each.reason for name, each in checks.get().items() if not each.is_well}
    if failing:
        title = _("Health checks fail: %(names)s") % {"names": ", ".join(failing)}
        found = (why for name, why in failing.items() if why and name not in _NAMED_ABOVE)
        detail = "; ".join(translated(why) for why in found)
        yield Concern("bad", title, detail[:_LONGEST_DETAIL], _link(visit, "console/queues"))


def _bounces(visit: Visit, traffic: Traffic) -> Iterator[Concern]:
    if traffic.totals.get("sent", 0) < FEWEST_SENT or traffic.bounce_rate < BOUNCES_OF_CONCERN:
        return
    title = _("Bounced within a day: %(share)s of the messages") % {
        "share": f"{traffic.bounce_rate * 100:.1f} %"
    }
    detail = _("mail services suspend accounts with many bounces")
    link = _link(visit, "console/notifications")
    since = {"status": "failed", "from": traffic.start.isoformat()}
    yield Concern("warn", title, detail, url_with(link, **since) if link else "")
