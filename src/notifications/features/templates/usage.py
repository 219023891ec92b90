"""Reads how often templates were used: by day for one template, and the most used of all."""

from __future__ import annotations

from datetime import date, timedelta

from django.db.models import Sum

from notifications.domain.callers import Caller
from notifications.features.templates.report_schemas import UsageList, UsageResponse, UsageSum
from notifications.features.templates.rows import check_reader, find_template
from notifications.infra import clock
from notifications.models import TemplateUsage

MAX_DAYS = 366
MAX_SUMS = 1_000


class TemplateUsageService:
    """Reads the counts that workers write every few seconds."""

    def usage(
        self,
        *,
        identifier: object,
        caller: Caller,
        days: int = 30,
        after: int = 0,
        limit: int = 50,
    ) -> UsageList:
        """Returns the counts of a template in the last days, the newest rows first.

        after is the last key of the page before.

        Raises:
            NotFound: unknown_template.
        """
        check_reader(caller)
        row = find_template(identifier)
        rows = TemplateUsage.objects.filter(version__template=row, day__gte=_first_day(days))
        total = rows.aggregate(Sum("count"))["count__sum"] or 0
        page = rows.select_related("version").order_by("-pk")
        if after:
            page = page.filter(pk__lt=after)
        return UsageList(
            total=total,
            results=[
                UsageResponse(
                    id=each.pk,
                    day=each.day,
                    version=each.version.number,
                    channel=each.channel,
                    locale=each.locale,
                    count=each.count,
                )
                for each in page[:limit]
            ],
        )

    def most_used(
        self, *, caller: Caller, days: int = 30, path: str = "", limit: int = 100
    ) -> list[UsageSum]:
        """Returns sums by template, channel and language, the largest first; path is a prefix."""
        check_reader(caller)
        rows = TemplateUsage.objects.filter(
            day__gte=_first_day(days), version__template__path__startswith=path
        )
        sums = rows.values("version__template__path", "channel", "locale").annotate(
            total=Sum("count")
        )
        return [
            UsageSum(
                path=each["version__template__path"],
                channel=each["channel"],
                locale=each["locale"],
                count=each["total"],
            )
            for each in sums.order_by("-total", "version__template__path", "channel")[
                : max(1, min(limit, MAX_SUMS))
            ]
        ]


def _first_day(days: int) -> date:
    return clock.now().date() - timedelta(days=max(1, min(days, MAX_DAYS)) - 1)
