"""Storage by age: the rules with their settings and last run, and legal holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext as _

from console.guard import Visit, may_open
from console.once import new_token, run_once
from console.paging import PAGE_ROWS, after_of, cut, page_links
from console.shell import act, page
from directory.references import read_person
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.identifiers import parse_identifier
from notifications.domain.loops import RETENTION, UPKEEP
from notifications.features.privacy.service import PrivacyService
from notifications.features.retention.indexed_rules import INDEXED
from notifications.features.retention.queries import lags
from notifications.features.retention.rules import EMPTIED, RetentionRule
from notifications.features.retention.walked_rules import WALKED
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import Erasure, LegalHold, PeriodicLoop, RetentionProgress

PATH = "/console/retention"
HOLDS = f"{PATH}/holds"
ERASES = "erase"
"""What a person types to end a legal hold for which an erasure waits."""
_LONGEST_REASON = 200


class RuleRow(NamedTuple):
    """One rule, with how far it has come."""

    name: str
    #: What happens to which rows, as a sentence.
    what: str
    is_emptied: bool
    #: The variable of the environment; empty where rows end by themselves.
    setting: str
    #: The age as text; empty where rows end by themselves.
    age: str
    #: Rows that were emptied or deleted so far; None where they are not counted.
    done: int | None
    #: All rows that were made before it were looked at; None for rules that an index serves.
    reached_at: datetime | None
    #: For how many seconds the oldest row is due; None where it is not measured.
    lag_s: float | None


def retention(visit: Visit) -> HttpResponse:
    """Shows the rules of storage by age."""
    names = (RETENTION.name, UPKEEP.name)
    loops = dict(PeriodicLoop.objects.filter(name__in=names).values_list("name", "finished_at"))
    context: dict[str, Any] = {
        "rules": _rules(clock.now()),
        "loops": [(name, loops.get(name)) for name in names],
        "may_see_erasures": may_open(visit, "console/retention/erasures"),
    }
    return page(visit, "plans/retention.html", context, section="retention")


def holds(visit: Visit) -> HttpResponse:
    """Shows the legal holds, the oldest first; a POST places or ends one."""
    if visit.is_post:
        return act(visit, lambda: _work(visit), back=HOLDS)
    found = PrivacyService().holds(caller=visit.caller, after=after_of(visit), limit=PAGE_ROWS + 1)
    rows, following = cut(found, lambda hold: hold.number)
    context: dict[str, Any] = {
        "rows": rows,
        "waiting": _waiting([row.user_id for row in rows]),
        "once": new_token(),
        "links": page_links(visit, HOLDS, {}, next_after=following),
    }
    return page(visit, "plans/holds.html", context, section="retention")


def _work(visit: Visit) -> str:
    if visit.given("action") == "end":
        _check_word(visit)
        PrivacyService().end_hold(identifier=visit.given("hold"), caller=visit.caller)
        return _("The legal hold has ended.")
    person = read_person(visit.given("person"), written=True)
    if person is None:
        detail = _("write the number or UUID of the person, or ext: and the id of the platform")
        raise InvalidRequest([FieldError("person", "invalid_user", detail)], detail)
    reason = visit.given("reason", longest=_LONGEST_REASON)
    if not reason:
        raise InvalidRequest([FieldError("reason", "required", _("say why"))])

    def work() -> str:
        PrivacyService().place_hold(user=person, reason=reason, caller=visit.caller)
        return _("The legal hold is in force: nothing of the person is deleted.")

    return run_once(visit, HOLDS, {"person": str(person), "reason": reason}, work)


def _check_word(visit: Visit) -> None:
    """Checks the typed word, which is needed where an erasure waits for the end of the hold.

    Raises:
        InvalidRequest: the word is needed and is another one.
    """
    key = parse_identifier(visit.given("hold"))
    hold = LegalHold.objects.filter(uuid=key).first() if isinstance(key, UUID) else None
    if hold is not None and _waiting([hold.user_id]) and visit.given("confirm") != ERASES:
        detail = _("type the word %(word)s to confirm") % {"word": ERASES}
        raise InvalidRequest([FieldError("confirm", "required", detail)], detail)


def _waiting(people: Sequence[int]) -> frozenset[int]:
    """Returns those of the people whose erasure waits for the end of a legal hold."""
    rows = Erasure.objects.filter(user_id__in=people, state=Erasure.State.WAITING_FOR_HOLD)
    return frozenset(key for key in rows.values_list("user_id", flat=True) if key is not None)


def _rules(now: datetime) -> list[RuleRow]:
    """Returns all rules. Makes one statement for each rule that an index serves, and two more."""
    behind = lags(now)
    progress: dict[str, list[RetentionProgress]] = defaultdict(list)
    for row in RetentionProgress.objects.order_by("pk"):
        progress[row.rule].append(row)
    return [_row(rule, progress.get(rule.name, ()), behind) for rule in (*WALKED, *INDEXED)]


def _row(
    rule: RetentionRule, progress: Sequence[RetentionProgress], behind: dict[str, float]
) -> RuleRow:
    reached = [each.reached_at for each in progress if each.reached_at is not None]
    return RuleRow(
        name=rule.name,
        what=_(rule.when),
        is_emptied=rule.happens == EMPTIED,
        setting=f"CARILLON_{rule.setting.upper()}" if rule.setting else "",
        age=_age(rule.setting),
        done=sum(each.done for each in progress) if progress else None,
        reached_at=min(reached, default=None),
        lag_s=behind.get(rule.name),
    )


def _age(setting: str) -> str:
    if not setting:
        return ""
    number = getattr(environment(), setting)
    if setting.endswith("_hours"):
        return _("%(count)d h") % {"count": number}
    return _("%(count)d d") % {"count": number}
