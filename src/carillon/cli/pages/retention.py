"""docs/retention.md: which rows are emptied or deleted when, made from the registry of rules."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from notifications.features.retention.rules import RetentionRule

_HEAD = """
This page says which rows are emptied and deleted at which age, and what they cost until then.

**Contents** are texts, contexts and raw responses of vendors. They are emptied first; the facts stay.
**Facts** are notifications, messages, attempts, events, bulk calls, broadcasts and recipients. They are deleted later.

- What has not ended stays: a message that waits or is uncertain, an open dead letter, a running broadcast, a scheduled notification.
- The age counts from the time when a notification was due, not from the request. A notification may be scheduled for any time until 2199.
- The rows of a user under a legal hold stay.
- A notification goes as a whole, with all rows of its messages, in one transaction.
- Once its texts are emptied, a notification or broadcast is not sent again: 409 `contents_expired`.

## A category's own retention

`retention_days` of a category replaces both ages, for contents and for facts: `PUT /api/v1/categories/marketing` with `{"retention_days": 90}`.
Null means the ages of the settings. A change applies to old rows too, within minutes.

## Try it first

`carillon retention --dry-run` prints, table by table, how many rows would go now. It changes nothing, and reads a thousand rows a transaction.
`carillon retention run` does it at once and ends when nothing is left. It may run beside workers.

Workers do it all the time, in the loop `storage by age`. It looks for due rows every five minutes and works until none is left.

- A step is one transaction that aims at 35 ms and should not exceed 50 ms: 7 and 10 ms on SQLite. Its size follows from the time of the last step.
- After a step the loop pauses for as long as the step took. Before a step it waits up to 50 ms while a critical message is due.
- The position of each rule is a row, so a step reads no row twice. A process that dies loses at most one step.
- Several processes may run it at once: each step belongs to one of them.

`notification_retention_lag_seconds{rule}` says for how long the oldest row of a rule is due.
`/health` is degraded when a rule is more than `CARILLON_RETENTION_ALERT_HOURS` behind.

## What a message costs

Measured by `carillon bench ageing` with 29 bytes of encryption for each sealed value, indexes included:

| row | PostgreSQL | what it holds |
| --- | --- | --- |
| notification | 235 bytes | with a context of 70 bytes |
| message | 600 bytes | with a text of 120 bytes; two fifths of a page stay free for updates in place |
| attempt | 260 bytes | with a raw response of 65 bytes |
| event | 130 bytes | only for what came after the delivery: receipts, cancellations, replays |

A message on one channel with an attempt and an event takes 1,210 bytes on PostgreSQL and 870 on SQLite.
At 20 messages a second that is about 2 GB a day on PostgreSQL.
The other costs on this page are estimates from the columns of the tables.

Deleted rows leave free space that later rows use; the files do not become smaller.
On PostgreSQL autovacuum frees the space when a twentieth of a table is dead. SQLite uses free pages at once.

## What the deletion costs

`carillon bench ageing --database postgres --rows 200000 --json`, and `sqlite`: 200,000 old messages, each with notification, attempt and event, are deleted twice beside 500 messages a second.
One worker delivers and deletes. Two cores, which other programs used as well; the second round is shown.

| | PostgreSQL | SQLite | wanted |
| --- | --- | --- | --- |
| deleted rows a second | 35,800 | 21,700 | 5,000 |
| deleted messages a second | 8,900 | 5,400 | |
| wait of a critical message, p99 | 0.13 s | 0.09 s | 0.2 s |
| the same before there were old rows | 0.03 s | 0.05 s | |
| size with the second 200,000 rows, by that with the first | 1.01 | 1.01 | 1.10 |
| memory of the worker | 121 MB | 157 MB | |

Live messages are subtracted from the second size. Autovacuum pauses in proportion to the rows: a minute for 5,000,000.

## What is emptied and deleted
""".strip()

_FOOT = """
A legal hold comes from a feature that stores holds. It registers a function that returns the ids of the held users
(`add_hold_source` in `features/retention/holds.py`), and each step calls it.

A new table needs a rule in `features/retention/walked_rules.py` or `indexed_rules.py`, or a reason in `stays.py`.
`tests/architecture/test_retention.py` checks all models.
""".strip()


def retention_page(note: str) -> str:
    """Returns the page. note: the line that says that it is generated."""
    from notifications.features.retention.indexed_rules import INDEXED
    from notifications.features.retention.stays import STAYS
    from notifications.features.retention.walked_rules import WALKED

    by_reason: dict[str, list[str]] = defaultdict(list)
    for label, reason in sorted(STAYS.items()):
        by_reason[reason].append(f"`{label.rpartition('.')[2]}`")
    return "\n".join(
        [
            "# Storage by age",
            "",
            note,
            *_HEAD.splitlines(),
            "",
            "| rule | what | tables | setting | default | cost |",
            "| --- | --- | --- | --- | --- | --- |",
            *(_row(rule) for rule in (*WALKED, *INDEXED)),
            "",
            "`CARILLON_CANCELLED_RETENTION_DAYS` deletes cancelled scheduled notifications earlier.",
            "",
            "## What stays",
            "",
            "| reason | tables |",
            "| --- | --- |",
            *(f"| {reason} | {', '.join(names)} |" for reason, names in by_reason.items()),
            "",
            *_FOOT.splitlines(),
            "",
        ]
    )


def _row(rule: RetentionRule) -> str:
    tables = ", ".join(f"`{model.__name__}`" for model in rule.models)
    setting, default = _setting(rule.setting)
    what = f"{rule.happens}: {rule.when}"
    return f"| {rule.name} | {what} | {tables} | {setting} | {default} | {rule.cost} |"


def _setting(name: str) -> tuple[str, str]:
    from carillon.settings.environment import Environment

    if not name:
        return "none", "at its end"
    default = next(item.default for item in fields(Environment) if item.name == name)
    unit = "hours" if name.endswith("_hours") else "days"
    return f"`CARILLON_{name.upper()}`", f"{default} {unit}"
