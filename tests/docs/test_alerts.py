"""The alert rules fire and stay silent when they should, by promtool; the dashboard is complete."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from notifications.features.operations import metrics
from notifications.infra import telemetry
from notifications.realtime import metrics as realtime

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/alerts.yaml"
DASHBOARD = ROOT / "deploy/grafana.json"
PROMTOOL = shutil.which("promtool")
AT = "30m"
"""When the rules are looked at; the series below have two values a minute."""
Series = dict[str, str]
Case = tuple[Series, Series, dict[str, str]]


def _late(name: str, above: str, below: str, **labels: str) -> Case:
    """Returns series of one metric that raise an alert, and that do not; the alert's labels."""
    text = ",".join(f'{key}="{value}"' for key, value in labels.items())
    series = f"{name}{{{text}}}" if text else name
    return {series: f"{above}x80"}, {series: f"{below}x80"}, labels


SENT = 'notifications_sent_total{{channel="sms",template="t",status="{}"}}'
CASES: dict[str, Case] = {
    "CarillonIsAway": _late("up", "0+0", "1+0", job="carillon"),
    "CarillonHasNoDatabase": _late("notification_database_answers", "0+0", "1+0"),
    "CarillonHasNoWorkers": _late("notification_workers", "0+0", "1+0"),
    "CarillonCriticalIsLate": _late(
        "notification_queue_age_seconds", "6+0", "0+0", priority="critical"
    ),
    "CarillonQueueIsLate": (*_late("notification_queue_age_seconds", "301+0", "299+0")[:2], {}),
    "CarillonDeadLetters": (
        {"notification_dead_letters": "8+0x80", "notification_dead_letters_alert": "7+0x80"},
        {"notification_dead_letters": "7+0x80", "notification_dead_letters_alert": "7+0x80"},
        {},
    ),
    "CarillonItemsSetAside": (
        *_late("notification_items_set_aside", "1+0", "0+0", work="retain")[:2],
        {},
    ),
    "CarillonRetentionIsBehind": (
        {'notification_retention_lag_seconds{rule="facts"}': "90000+0x200"},
        {'notification_retention_lag_seconds{rule="facts"}': "80000+0x200"},
        {},
    ),
    "CarillonManyFail": (
        {SENT.format("failed"): "0+2x80", SENT.format("sent"): "0+10x80"},
        {SENT.format("failed"): "0+1x80", SENT.format("sent"): "0+10x80"},
        {"channel": "sms"},
    ),
    "CarillonBreakerIsOpen": _late("notification_breaker_open", "1+0", "0+0", provider="smtp"),
    "CarillonAuditIsLate": _late("notification_audit_lag_seconds", "61+0", "59+0"),
    "CarillonIsStopped": (
        {"notification_kill_switches": "1+0x200"},
        {"notification_kill_switches": "0+0x200"},
        {},
    ),
}
LATER = {"CarillonRetentionIsBehind": "90m", "CarillonIsStopped": "90m"}
"""Alerts that wait for an hour."""


def rules() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_every_alert_has_a_case() -> None:
    assert list(CASES) == list(rules())


@pytest.mark.skipif(PROMTOOL is None, reason="needs Debian's prometheus: make services")
def test_alerts_fire_and_stay_silent(tmp_path: Path) -> None:
    tests = []
    for name, (above, below, labels) in CASES.items():
        rule = rules()[name]
        summary = str(rule["annotations"]["summary"])
        for label, value in labels.items():
            summary = summary.replace(f"{{{{ $labels.{label} }}}}", value)
        alert = {
            "exp_labels": {**rule["labels"], **labels},
            "exp_annotations": {"summary": summary},
        }
        for series, expected in ((above, [alert]), (below, [])):
            tests.append(
                {
                    "interval": "30s",
                    "input_series": [{"series": k, "values": v} for k, v in series.items()],
                    "alert_rule_test": [
                        {
                            "eval_time": LATER.get(name, AT),
                            "alertname": name,
                            "exp_alerts": expected,
                        }
                    ],
                }
            )
    file = tmp_path / "alerts.yaml"
    body = {"rule_files": [str(RULES)], "evaluation_interval": "30s", "tests": tests}
    file.write_text(yaml.safe_dump(body))
    found = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def exported() -> set[str]:
    """Returns the names of all metrics."""
    files = [Path(str(module.__file__)) for module in (metrics, telemetry, realtime)]
    return {name for file in files for name in re.findall(r"\"(\w+)\"", file.read_text())}


def test_the_dashboard_has_known_metrics_and_a_unit_for_each_panel() -> None:
    board = json.loads(DASHBOARD.read_text())
    panels = [each for each in board["panels"] if each["type"] != "row"]
    assert len(panels) > 12
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${source}"
        for target in panel["targets"]:
            names = set(re.findall(r"\b(?:notifications?|template)_\w+", target["expr"]))
            bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
            assert names
            assert bare - exported() == set(), panel["title"]


def test_the_panels_do_not_overlap() -> None:
    board = json.loads(DASHBOARD.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
