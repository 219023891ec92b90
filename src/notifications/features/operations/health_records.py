"""Health checks of what is stored for long: rows that age, the audit log, and data keys."""

from __future__ import annotations

from datetime import datetime

from directory.models import User
from notifications.features.audit.backlog import audit_backlog
from notifications.features.operations.health_results import HEALTHY, UNHEALTHY, CheckResponse
from notifications.features.retention.queries import lags
from notifications.infra.conf import environment
from vault.cells import SealBroken
from vault.master import MasterKeyMissing
from vault.store import load_data_keys

AUDIT_LAG_S = 60.0


def retention_check(now: datetime) -> CheckResponse:
    """Checks that emptying and deleting by age keeps up with new rows."""
    limit_s = environment().retention_alert_hours * 3600.0
    behind = {rule: seconds for rule, seconds in lags(now).items() if seconds > limit_s}
    if not behind:
        return CheckResponse(status=HEALTHY)
    rule = max(behind, key=lambda name: behind[name])
    reason = (
        f"storage by age is {behind[rule] / 3600:,.0f} h behind ({rule}):"
        " check that a worker runs, and see `carillon retention --dry-run`"
    )
    return CheckResponse(status=UNHEALTHY, reason=reason, count=len(behind))


def audit_check() -> CheckResponse:
    """Checks that the sealer of the audit log keeps up."""
    backlog = audit_backlog()
    if backlog.age_s <= AUDIT_LAG_S:
        return CheckResponse(status=HEALTHY, count=backlog.queued)
    reason = (
        f"the oldest audit entry has waited {backlog.age_s:.0f} s to be sealed: check that a"
        " worker runs, and its log; then `carillon audit verify`"
    )
    return CheckResponse(status=UNHEALTHY, reason=reason, count=backlog.queued)


def keys_check() -> CheckResponse:
    """Checks that the newest person's data key is in the key store, and can be unwrapped."""
    newest = User.objects.exclude(key_id=None).order_by("-pk").values_list("key_id", flat=True)
    try:
        load_data_keys(newest[:1])
    except (MasterKeyMissing, SealBroken) as error:
        return CheckResponse(status=UNHEALTHY, reason=str(error))
    return CheckResponse(status=HEALTHY)
