"""Small rows that every slice needs, cached in the process.

These are categories, accounts of providers, and shared contexts of jobs. A job never changes, so
its context stays cached while there is space. Categories and accounts are read again after seconds.
"""

from __future__ import annotations

import functools
import json
from typing import Any, NamedTuple

import structlog
from django.db import DatabaseError

from notifications.delivery.accounts import StoredAccount, use_stored
from notifications.domain.errors import TemplateFault
from notifications.infra import clock
from notifications.models import Category, CrashPolicy, Job, LegalBasis, ProviderConfig
from notifications.models.delivery.attachment import file_cache
from notifications.models.operations.status_webhook import forget_subscriptions
from notifications.policy.preference_text import CategoryTerms

_FRESH_S = 2.0
_MOST_ACCOUNTS = 100
EXPIRED = "contents_expired"
log = structlog.get_logger("carillon.providers")


class CategoryFacts(NamedTuple):
    """What decisions and delivery need of a category."""

    id: int
    key: str
    crash_policy: str
    terms: CategoryTerms
    retired: bool
    name: str
    #: Its mails offer to unsubscribe.
    can_end: bool
    #: Its mails may be tracked.
    trackable: bool = True

    @property
    def resends(self) -> bool:
        return self.crash_policy == CrashPolicy.RESEND


_categories: dict[int, CategoryFacts] = {}
_read_at = _accounts_read_at = -_FRESH_S


def category_facts(category_id: int) -> CategoryFacts:
    """Returns a category by its id.

    Raises:
        KeyError: when it does not exist.
    """
    if category_id not in _fresh_categories():
        _read_categories()
    return _categories[category_id]


DIGEST_CATEGORY = "digest"
"""The category of digests. It is seeded and cannot be deleted."""


def category_by_key(key: str) -> CategoryFacts | None:
    """Returns a category by its key. A key that is not cached is read at once."""
    found = _with_key(_fresh_categories(), key)
    return found or _with_key(_read_categories(), key)


def category_keys() -> list[str]:
    """Returns the keys of all categories that are not retired."""
    return sorted(facts.key for facts in _fresh_categories().values() if not facts.retired)


def _with_key(categories: dict[int, CategoryFacts], key: str) -> CategoryFacts | None:
    return next((f for f in categories.values() if f.key == key and not f.retired), None)


def _fresh_categories() -> dict[int, CategoryFacts]:
    return _read_categories() if clock.monotonic() - _read_at > _FRESH_S else _categories


def _read_categories() -> dict[int, CategoryFacts]:
    """Reads all categories, and the accounts of providers, so that both are equally fresh.

    The dict is replaced and never changed, because other threads may iterate over it.
    """
    global _categories, _read_at
    _categories = {row.pk: _facts_of(row) for row in Category.objects.all()}
    _read_at = clock.monotonic()
    refresh_accounts(at_once=True)
    return _categories


def _facts_of(row: Category) -> CategoryFacts:
    terms = CategoryTerms(
        row.key,
        row.legal_basis == LegalBasis.CONSENT,
        row.marketing,
        json.dumps(row.default_preferences, sort_keys=True) if row.default_preferences else "",
        json.dumps(row.caps) if row.caps else "",
    )
    can_end = row.unsubscribable and row.legal_basis != LegalBasis.LEGAL_OBLIGATION
    retired = row.retired_at is not None
    return CategoryFacts(
        row.pk, row.key, row.crash_policy, terms, retired, row.name, can_end, row.trackable
    )


def refresh_categories() -> None:
    """Reads the categories again after a change by this process. Others do so within seconds."""
    _read_categories()


def refresh_accounts(*, at_once: bool = False) -> None:
    """Reads the accounts of providers that operators set, at most every two seconds.

    at_once: read now in any case.
    """
    global _accounts_read_at
    if not at_once and clock.monotonic() - _accounts_read_at <= _FRESH_S:
        return
    use_stored(_read_accounts())
    _accounts_read_at = clock.monotonic()


def _read_accounts() -> dict[str, StoredAccount]:
    """Returns all accounts that can be read.

    A row that cannot be read (sealed with a key that is gone) does not affect other providers.
    """
    try:
        rows = list(ProviderConfig.objects.all())
        return {row.key: StoredAccount(row.version, row.given()) for row in rows}
    except DatabaseError:
        raise
    except Exception:
        log.exception("accounts.unreadable")
    found: dict[str, StoredAccount] = {}
    for key in ProviderConfig.objects.order_by("key").values_list("key", flat=True)[
        :_MOST_ACCOUNTS
    ]:
        try:
            row = ProviderConfig.objects.get(pk=key)
            found[key] = StoredAccount(row.version, row.given())
        except DatabaseError:
            raise
        except Exception as error:
            log.error("account.unreadable", provider=key, error=type(error).__name__)
    return found


@functools.lru_cache(maxsize=256)
def job_context(job_id: int) -> dict[str, Any]:
    """Returns the context that all recipients of a job share.

    Raises:
        TemplateFault: contents_expired; it was emptied, and no message goes out without its values.
    """
    job = Job.objects.only("context", "key_id").get(pk=job_id)
    context: dict[str, Any] | None = job.context
    if context is None and job.is_emptied():
        raise TemplateFault("the shared values of its bulk call are deleted", code=EXPIRED)
    return context or {}


def forget() -> None:
    """Empties the caches. For tests: a rolled-back database assigns the same keys again."""
    global _categories, _read_at, _accounts_read_at
    _categories = {}
    _read_at = _accounts_read_at = -_FRESH_S
    use_stored({})
    forget_subscriptions()
    job_context.cache_clear()
    file_cache.clear()
