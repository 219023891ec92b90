"""Counts renders that exceeded their CPU limit, and stops the template versions.

A stop is a kill switch, which operators can see and lift. Its scope is `version` and its value the
version's key, with `@source` when only one source's messages are stopped.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

import structlog
from django.db import models, transaction

from notifications.domain.identifiers import parse_key
from notifications.models.audit.actions import record_action
from notifications.models.content.template import TemplateVersion
from notifications.models.operations.operators import KillSwitch

log = structlog.get_logger("carillon.rendering")
OVERRUNS_TO_STOP = 3
SOURCES_TO_STOP = 3
REMEMBERED = timedelta(days=1)
ACTOR = "system"


class TemplateOverrunManager(models.Manager["TemplateOverrun"]):
    """Counts overruns, and stops versions."""

    def note(
        self, version_id: int, source: str, *, at: datetime, is_kill: bool = False
    ) -> list[str]:
        """Counts an overrun of a version in a message of a source, and stops the version if needed.

        The third overrun within a day stops the version for the source; so does a single overrun
        whose process was killed. The third such source stops the version for all.

        Returns:
            The sources for which the version was stopped; an empty text means all.
        """
        stopped: list[str] = []
        with transaction.atomic():
            row, _ = self.select_for_update().get_or_create(
                version_id=version_id, source=source, defaults={"last_at": at}
            )
            row.count = 1 if at - row.last_at > REMEMBERED else row.count + 1
            row.kills += int(is_kill)
            row.last_at = at
            row.save()
            if is_kill:
                self._stop(version_id, source, "a render of it blocked its worker", at)
                stopped.append(source)
            elif row.count >= OVERRUNS_TO_STOP:
                reason = f"{row.count} renders of it took too much CPU time"
                self._stop(version_id, source, reason, at)
                stopped.append(source)
            recent = self.filter(version_id=version_id, last_at__gt=at - REMEMBERED)
            sources = recent.values("source").distinct().count()
            if sources >= SOURCES_TO_STOP:
                reason = f"renders for {sources} sources took too much CPU time"
                self._stop(version_id, "", reason, at)
                stopped.append("")
        return stopped

    def stop_for_all(self, version_id: int, *, at: datetime) -> None:
        """Stops a version whose own example exceeds the limits."""
        with transaction.atomic():
            self._stop(version_id, "", "its own example takes too much CPU time or memory", at)

    def forget(self, value: str) -> None:
        """Deletes the counts of a lifted stop: the next overrun counts as the first."""
        version, _, source = value.partition("@")
        key = parse_key(version)
        if key is not None:
            rows = self.filter(version_id=key)
            (rows.filter(source=source) if source else rows).delete()

    def _stop(self, version_id: int, source: str, why: str, at: datetime) -> None:
        value = f"{version_id}@{source}" if source else str(version_id)
        version = TemplateVersion.objects.select_related("template").filter(pk=version_id).first()
        reason = f"{version or 'a deleted template'}: {why}"
        _, is_new = KillSwitch.objects.get_or_create(
            scope=KillSwitch.Scope.VERSION,
            value=value,
            defaults={"reason": reason[-200:], "actor": ACTOR, "created_at": at},
        )
        if is_new:
            record_action(
                actor=ACTOR,
                action="kill-switch.stop",
                target=f"version:{value}",
                reason=reason[-200:],
                at=at,
            )
            log.critical("template.stopped", version=version_id, source=source, reason=why)


class TemplateOverrun(models.Model):
    """Renders of a version that exceeded the limits, in messages of one source."""

    version_id = models.BigIntegerField()
    source = models.CharField(max_length=60)
    #: Overruns since the last day without one.
    count = models.PositiveIntegerField(default=0)
    #: Overruns whose process was killed.
    kills = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()

    objects: ClassVar[TemplateOverrunManager] = TemplateOverrunManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version_id", "source"], name="template_overrun_once")
        ]

    def __str__(self) -> str:
        return f"version {self.version_id} for {self.source}: {self.count}"
