"""ABTestService: makes, starts and ends A/B tests, and shows their results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction

from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.experiments.planning import duration_days, sample_size
from notifications.features.access.limits import check_category_keys
from notifications.features.access.service import require_scope
from notifications.features.experiments.catalog import forget_tests
from notifications.features.experiments.drafts import apply_change, new_row
from notifications.features.experiments.lifecycle import (
    changing,
    end,
    find_test,
    live_campaign_of,
    named_variants,
    pause,
    refuse_of_campaign,
    require_status,
    start,
)
from notifications.features.experiments.result_schemas import (
    ABTestPlanBody,
    ABTestPlanResponse,
    ABTestResultsResponse,
)
from notifications.features.experiments.results import results_of
from notifications.features.experiments.schemas import (
    ABTestBody,
    ABTestChangeBody,
    ABTestDeclareBody,
    ABTestResponse,
    ABTestVariantResponse,
)
from notifications.features.templates.rows import check_writable
from notifications.infra import clock
from notifications.models import (
    ABTestEnd,
    ABTestStatus,
    NotificationABTest,
    NotificationTemplate,
)
from notifications.models.audit.actions import record_action, values_of

READ_TESTS, WRITE_TESTS = "templates:read", "templates:write"
"""A test decides which published text a send gets: so much can a writer of templates do anyway."""
READ_RESULTS = "analytics:read"
SEND_CAMPAIGNS = "broadcasts"
"""Who ends the test of a campaign decides what it sends to everyone else."""


class ABTestService:
    """The operations on tests. Every change is recorded with its actor."""

    def list(
        self, *, caller: Caller, status: str = "", after: int = 0, limit: int = 50
    ) -> Sequence[ABTestResponse]:
        """Returns tests, the oldest first. Raises Refused: missing_scope."""
        require_scope(caller, READ_TESTS)
        rows = NotificationABTest.objects.select_related("template", "goal")
        if status:
            rows = rows.filter(status=status)
        return [_response(row) for row in rows.filter(pk__gt=after).order_by("pk")[:limit]]

    def get(self, *, identifier: object, caller: Caller) -> ABTestResponse:
        """Returns one test.

        Raises:
            Refused: missing_scope. NotFound: unknown_ab_test.
        """
        require_scope(caller, READ_TESTS)
        return _response(find_test(identifier))

    def create(self, *, body: ABTestBody, caller: Caller) -> ABTestResponse:
        """Makes a draft.

        Raises:
            Refused: missing_scope, system_template, category_not_allowed.
            InvalidRequest: with every error of the body.
        """
        require_scope(caller, WRITE_TESTS)
        template = NotificationTemplate.objects.filter(pk=body.template_id).first()
        if template is None:
            detail = f"there is no template {body.template_id}"
            raise InvalidRequest([FieldError("template_id", "unknown_template", detail)])
        row = new_row(body, template, created_by=caller.name)
        _check_rights(row, caller)
        with transaction.atomic():
            row.created_at = clock.now()
            row.save()
            record_action(
                actor=caller.name,
                action="ab-test.created",
                target=f"ab-test:{row.pk}",
                at=row.created_at,
                after=values_of(row),
            )
        return _response(row)

    def change(
        self, *, identifier: object, body: ABTestChangeBody, caller: Caller
    ) -> ABTestResponse:
        """Changes a draft; of a test that has started only its name, traffic and force.

        Raises:
            Refused: as `create`. NotFound: unknown_ab_test. Conflict: ab_test_started.
            InvalidRequest: with every error of the body.
        """
        require_scope(caller, WRITE_TESTS)
        with changing(
            identifier, actor=caller.name, action="ab-test.changed", at=clock.now()
        ) as row:
            refuse_of_campaign(row, verb="changed")
            apply_change(row, body)
            _check_rights(row, caller)
        return _response(row)

    def delete(self, *, identifier: object, caller: Caller) -> None:
        """Deletes a test that does not run. Sends of its template get the template again.

        Raises:
            Refused: as `create`. NotFound: unknown_ab_test. Conflict: ab_test_status.
        """
        require_scope(caller, WRITE_TESTS)
        with transaction.atomic():
            row = find_test(identifier, lock=True)
            _check_rights(row, caller)
            require_status(row, ABTestStatus.DRAFT, ABTestStatus.COMPLETED)
            refuse_of_campaign(row, verb="deleted")
            record_action(
                actor=caller.name,
                action="ab-test.deleted",
                target=f"ab-test:{row.pk}",
                at=clock.now(),
                before=values_of(row),
            )
            row.delete()
            transaction.on_commit(forget_tests)

    def start(self, *, identifier: object, caller: Caller) -> ABTestResponse:
        """Starts a draft, or goes on with a paused test.

        Raises:
            Refused: as `create`. NotFound: unknown_ab_test.
            Conflict: ab_test_status, template_in_test. InvalidRequest: a variant cannot be sent.
        """
        require_scope(caller, WRITE_TESTS)
        now = clock.now()
        with changing(identifier, actor=caller.name, action="ab-test.started", at=now) as row:
            _check_rights(row, caller)
            start(row, now=now)
        return _response(row)

    def pause(self, *, identifier: object, caller: Caller) -> ABTestResponse:
        """Pauses a running test: everybody gets control until it is started again.

        Raises:
            Refused: as `create`. NotFound: unknown_ab_test. Conflict: ab_test_status.
        """
        require_scope(caller, WRITE_TESTS)
        with changing(
            identifier, actor=caller.name, action="ab-test.paused", at=clock.now()
        ) as row:
            _check_rights(row, caller)
            refuse_of_campaign(row, verb="paused")
            pause(row)
        return _response(row)

    def stop(self, *, identifier: object, caller: Caller) -> ABTestResponse:
        """Ends a test without a winner: everybody gets control.

        Raises:
            Refused: as `create`; missing_scope, for the test of a campaign without `broadcasts`.
            NotFound: unknown_ab_test. Conflict: ab_test_status.
        """
        return self._end(identifier, caller, action="ab-test.stopped", by=ABTestEnd.STOPPED)

    def declare(
        self, *, identifier: object, body: ABTestDeclareBody, caller: Caller
    ) -> ABTestResponse:
        """Ends a test with the winner that a person names: everybody gets it.

        Raises:
            Refused: as `stop`. NotFound: unknown_ab_test. Conflict: ab_test_status.
            InvalidRequest: unknown_variant.
        """
        return self._end(
            identifier,
            caller,
            action="ab-test.declared",
            by=ABTestEnd.DECLARED,
            winner=body.winner,
            why=body.reason,
        )

    def results(self, *, identifier: object, caller: Caller) -> ABTestResultsResponse:
        """Returns the figures of a test, and what they say. A test may be looked at any time.

        Raises:
            Refused: missing_scope. NotFound: unknown_ab_test.
        """
        require_scope(caller, READ_RESULTS)
        return results_of(find_test(identifier), now=clock.now())

    def plan(self, *, body: ABTestPlanBody, caller: Caller) -> ABTestPlanResponse:
        """Returns how many people a test needs, and how many days.

        Raises:
            Refused: missing_scope. InvalidRequest: the rates are not between 0 and 1.
        """
        require_scope(caller, READ_RESULTS)
        try:
            size = sample_size(
                rate=body.rate,
                lift=body.lift,
                weights=body.weights,
                level=1 - body.confidence_level,
                power=body.power,
            )
        except ValueError as error:
            detail = "must not be near 0, and the rate with it must stay below 1"
            raise InvalidRequest([FieldError("lift", "invalid", detail)]) from error
        days = duration_days(
            size.planned,
            people_per_day=body.people_per_day,
            traffic_percentage=body.traffic_percentage,
        )
        return ABTestPlanResponse(
            one_look=size.fixed, people=size.planned, people_without_plan=size.unplanned, days=days
        )

    def _end(
        self,
        identifier: object,
        caller: Caller,
        *,
        action: str,
        by: ABTestEnd,
        winner: str = "",
        why: str = "",
    ) -> ABTestResponse:
        require_scope(caller, WRITE_TESTS)
        now = clock.now()
        with changing(identifier, actor=caller.name, action=action, at=now, reason=why) as row:
            _check_rights(row, caller)
            _check_rights_to_campaign(row, caller)
            end(row, by=by, winner=winner, why=why, now=now)
        return _response(row)


def _check_rights(row: NotificationABTest, caller: Caller) -> None:
    """Checks the right to write each template whose text the test may send.

    Raises:
        Refused: system_template, category_not_allowed.
    """
    check_writable(row.template, caller)
    for template in NotificationTemplate.objects.filter(path__in=_paths(row)):
        check_writable(template, caller)


def _check_rights_to_campaign(row: NotificationABTest, caller: Caller) -> None:
    """Checks the right to decide what the rest of a campaign gets, if the test is part of one.

    Raises:
        Refused: missing_scope, category_not_allowed.
    """
    campaign = live_campaign_of(row)
    if campaign is not None:
        require_scope(caller, SEND_CAMPAIGNS)
        check_category_keys(caller, [campaign.category])


def _paths(row: NotificationABTest) -> Iterable[str]:
    return {each["template_path"] for each in row.variants if each["template_path"]}


def _response(row: NotificationABTest) -> ABTestResponse:
    return ABTestResponse(
        id=row.pk,
        name=row.name,
        template_id=row.template_id,
        template_path=row.template.path,
        status=row.status,
        in_force=row.in_force,
        variants=[ABTestVariantResponse(**each) for each in named_variants(row)],
        control=row.control,
        traffic_percentage=row.traffic_percentage,
        holdout_percentage=row.holdout_percentage,
        channel=row.channel,
        metric=row.metric,
        goal=row.goal.name if row.goal else None,
        window_days=row.window.days,
        window_hours=int(row.window.total_seconds() // 3_600),
        campaign=row.campaign_id,
        minimum_sample_size=row.minimum_sample_size,
        confidence_level=row.confidence_level,
        expected_rate=row.expected_rate,
        expected_lift=row.expected_lift,
        automatic=row.is_automatic,
        winner=row.winner_variant or None,
        ended_by=row.ended_by,
        conclusion=row.conclusion,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
