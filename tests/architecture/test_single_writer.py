"""Only models/delivery/message.py and the hot_*.py files beside it write a status."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.test_budgets import SOURCES, name

WRITERS = {
    "src/notifications/models/delivery/message.py",
    "src/notifications/models/delivery/hot_postgres.py",
    "src/notifications/models/delivery/hot_sqlite.py",
}
TABLE = "notifications_notificationmessage"
SQL = re.compile(rf"UPDATE\s+\"?{TABLE}\b.*\bSET\b.*\bstatus\s*=", re.DOTALL | re.IGNORECASE)
WRITES = {"update", "bulk_update", "update_or_create", "create", "get_or_create"}
OTHERS = ("TemplateStatus", "BroadcastStatus", "SeriesStatus", "ABTestStatus")
"""Enumerations of the statuses of other tables."""


def status_writes(source: str) -> Iterator[int]:
    """Yields the lines of a file that write a message's status, in any known way."""
    for node in ast.walk(ast.parse(source)):
        if _assigns(node) or _calls(node) or _statement(node):
            yield getattr(node, "lineno", 0)


def _assigns(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign):
        targets = [part for target in node.targets for part in ast.walk(target)]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    else:
        return False
    hits = any(isinstance(part, ast.Attribute) and part.attr == "status" for part in targets)
    return hits and not _of_another_table(node.value)


def _calls(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func).rpartition(".")[2]
    if called == "setattr":
        return any(isinstance(a, ast.Constant) and a.value == "status" for a in node.args)
    values = [keyword.value for keyword in node.keywords if keyword.arg == "status"]
    if called == "NotificationMessage" or called in WRITES:
        lists = any("'status'" in ast.unparse(argument) for argument in node.args)
        return lists or any(not _of_another_table(value) for value in values)
    return False


def _statement(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return SQL.search(node.value) is not None
    if isinstance(node, ast.JoinedStr):
        parts = (v.value if isinstance(v, ast.Constant) else TABLE for v in node.values)
        return SQL.search("".join(map(str, parts))) is not None
    return False


def _of_another_table(value: ast.expr | None) -> bool:
    return value is not None and any(other in ast.unparse(value) for other in OTHERS)


def test_only_the_message_model_and_its_hot_files_write_a_status():
    writers = {
        f"{name(path)}:{line}"
        for path in SOURCES
        if name(path) not in WRITERS and not name(path).startswith("src/carillon/bench/")
        for line in status_writes(path.read_text(encoding="utf-8"))
    }
    assert writers == set()


@pytest.mark.parametrize(
    "planted",
    [
        "message.status = 'sent'",
        "a, message.status = 1, MessageStatus.SENT",
        "rows.filter(pk=1).update(status=MessageStatus.SENT)",
        "objects.bulk_update(rows, ['status', 'sent_at'])",
        "setattr(message, 'status', 'sent')",
        "NotificationMessage(status='sent')",
        f"cursor.execute('UPDATE {TABLE} SET attempts = 1, status = 2')",
        "cursor.execute(f'UPDATE {table} SET status = 2')",
    ],
)
def test_a_planted_writer_is_found(planted):
    assert list(status_writes(planted)) != []


@pytest.mark.parametrize(
    "innocent",
    [
        "row.status = TemplateStatus.PUBLISHED",
        "status = message.status",
        "rows.filter(status='pending').update(attempts=1)",
        f"cursor.execute('SELECT id FROM {TABLE} WHERE status = 1')",
    ],
)
def test_a_reader_is_not_reported(innocent):
    assert list(status_writes(innocent)) == []


def schedule_writes(source: str) -> Iterator[int]:
    """Yields the lines of a file that change a scheduled status."""
    for node in ast.walk(ast.parse(source)):
        is_call = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("update")
        if is_call and any(keyword.arg == "scheduled_status" for keyword in node.keywords):
            yield node.lineno


def test_only_the_notification_model_changes_a_scheduled_status():
    writers = {
        f"{name(path)}:{line}"
        for path in SOURCES
        if name(path) != "src/notifications/models/delivery/notification.py"
        for line in schedule_writes(path.read_text(encoding="utf-8"))
    }
    assert writers == set()
    assert list(schedule_writes("rows.filter(pk=1).update(scheduled_status='sent')")) != []
