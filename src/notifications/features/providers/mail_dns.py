"""What the DNS says of a sender's domain: MX, SPF, DKIM and DMARC."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from notifications.delivery.vendors.smtp.dkim import DkimKey, keys_for, published
from notifications.infra.http.dns import mail_hosts, txt_records

LOOKUP_S = 4.0
"""The longest time of one check; all run at the same time."""
SELECTORS = (
    *("default", "dkim", "mail", "google", "selector1", "selector2", "s1", "s2", "k1", "k2"),
    *("fm1", "mxvault", "zoho", "protonmail", "mandrill", "smtp"),
)
"""Selectors of DKIM that mail services use; a key under another one is not found."""
_LONGEST_DETAIL = 400
_PASSES_ALL = re.compile(r"(^|\s)\+?all(\s|$)", re.IGNORECASE)
_KEY = re.compile(r"(^|;)\s*p=\s*[^\s;]")
_POLICY = re.compile(r";\s*p\s*=\s*(none|quarantine|reject)\b", re.IGNORECASE)


class Mark(StrEnum):
    """How a check ended."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class MailFinding:
    """The result of one check. check and code name the words that a page shows."""

    check: str
    mark: Mark
    code: str
    #: What was found, such as a record or a server's reply; empty where there is nothing to show.
    detail: str = ""


def finding(check: str, mark: Mark, code: str, detail: str = "") -> MailFinding:
    """Returns a finding whose detail is cut to a length that a page can show."""
    return MailFinding(check, mark, code, detail[:_LONGEST_DETAIL])


async def check_domain(domain: str, keys: Sequence[DkimKey]) -> list[MailFinding]:
    """Returns what the records of a sender's domain say, in four findings.

    domain: in its ASCII form. keys: those with which this service signs.
    """
    checks = (_mx(domain), _spf(domain), _dkim(domain, keys), _dmarc(domain))
    return list(await asyncio.gather(*map(_answered, ("mx", "spf", "dkim", "dmarc"), checks)))


async def _answered(name: str, check: Coroutine[Any, Any, MailFinding]) -> MailFinding:
    try:
        async with asyncio.timeout(LOOKUP_S):
            return await check
    except OSError:  # a time-out is one
        return finding(name, Mark.WARN, "no_answer")


async def _mx(domain: str) -> MailFinding:
    hosts = await mail_hosts(domain, timeout_s=LOOKUP_S)
    if not hosts or hosts == ["."]:
        return finding("mx", Mark.WARN, "none")
    return finding("mx", Mark.GOOD, "found", ", ".join(hosts))


async def _spf(domain: str) -> MailFinding:
    texts = await txt_records(domain, timeout_s=LOOKUP_S)
    found = [text for text in texts if re.match(r"v=spf1(\s|$)", text, re.IGNORECASE)]
    if not found:
        return finding("spf", Mark.BAD, "missing")
    if len(found) > 1:
        return finding("spf", Mark.BAD, "several", " | ".join(found))
    if _PASSES_ALL.search(found[0]):
        return finding("spf", Mark.WARN, "passes_all", found[0])
    return finding("spf", Mark.GOOD, "found", found[0])


async def _dkim(domain: str, keys: Sequence[DkimKey]) -> MailFinding:
    """Compares the keys of this service with their records; without a key it tries SELECTORS."""
    own = keys_for(domain, keys)
    for key in own:
        if not published(await txt_records(key.record_name, timeout_s=LOOKUP_S), key):
            detail = f"{key.record_name} TXT {key.record}"
            return MailFinding("dkim", Mark.BAD, "unpublished", detail)
    if own:
        return finding("dkim", Mark.GOOD, "own", ", ".join(key.record_name for key in own))
    names = [f"{selector}._domainkey.{domain}" for selector in SELECTORS]
    answers = await asyncio.gather(
        *(txt_records(name, timeout_s=LOOKUP_S) for name in names), return_exceptions=True
    )
    found = [
        name
        for name, texts in zip(names, answers, strict=True)
        if isinstance(texts, list) and any(_KEY.search(text) for text in texts)
    ]
    if found:
        return finding("dkim", Mark.GOOD, "found", ", ".join(found))
    if all(isinstance(texts, OSError) for texts in answers):
        raise OSError("no name server responds")
    return finding("dkim", Mark.WARN, "unknown")


async def _dmarc(domain: str) -> MailFinding:
    """Reads the policy of the domain, else those of its parents, as receivers do."""
    labels = domain.split(".")
    for start in range(min(len(labels) - 1, 7)):
        name = f"_dmarc.{'.'.join(labels[start:])}"
        texts = await txt_records(name, timeout_s=LOOKUP_S)
        found = [text for text in texts if text.lower().startswith("v=dmarc1")]
        if not found:
            continue
        policy = _POLICY.search(found[0])
        if len(found) > 1 or policy is None:
            return finding("dmarc", Mark.BAD, "unreadable", " | ".join(found))
        return finding("dmarc", Mark.GOOD, "found", found[0])
    return finding("dmarc", Mark.WARN, "missing")
