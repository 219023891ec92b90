"""The service worker, run by node: what a browser shows after pushes."""

from __future__ import annotations

import json
import subprocess

import pytest

from notifications.web.service_worker import SCRIPT

BROWSER = """
const shown = new Map();
const handlers = {};
const self = {
  addEventListener: (type, handle) => { handlers[type] = handle; },
  registration: {
    showNotification: async (title, options) => { shown.set(options.tag || title, {
      title, data: options.data, tag: options.tag, close: () => shown.delete(options.tag),
    }); },
    getNotifications: async ({tag}) => [...shown.values()].filter((each) => each.tag === tag),
  },
};
"""
RUN = """
(async () => {
  for (const payload of %s) {
    const waits = [];
    handlers.push({data: {json: () => payload}, waitUntil: (work) => waits.push(work)});
    await Promise.all(waits);
  }
  console.log(JSON.stringify([...shown.values()].map((each) => each.title)));
})();
"""


def shown_after(*payloads: dict[str, object]) -> list[str]:
    """Returns the titles that a browser shows in the end."""
    program = BROWSER + SCRIPT + RUN % json.dumps(payloads)
    done = subprocess.run(
        ["node", "-e", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return list(json.loads(done.stdout))


def push(title: str, reference: str, tag: str = "a") -> dict[str, object]:
    return {"title": title, "tag": tag, "data": {"reference": reference}}


def retraction(reference: str, tag: str = "a") -> dict[str, object]:
    return {"type": "retract", "tag": tag, "reference": reference}


@pytest.mark.parametrize(
    ("payloads", "titles"),
    [
        ([push("Paid", "1.push"), push("Other", "2.push", "b")], ["Paid", "Other"]),
        ([push("Paid", "1.push"), push("Other", "2.push", "b"), retraction("1.push")], ["Other"]),
        ([push("Old", "1.push"), push("New", "2.push"), retraction("1.push")], ["New"]),
        ([push("Paid", "1.push"), retraction("1.push", "b")], ["Paid"]),
        ([retraction("1.push")], []),
    ],
    ids=["shows", "closes one", "a newer one stays", "another tag stays", "shows nothing new"],
)
def test_a_retraction_closes_its_own_push(
    payloads: list[dict[str, object]], titles: list[str]
) -> None:
    assert shown_after(*payloads) == titles
