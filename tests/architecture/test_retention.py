"""Every table has a rule of retention, or a reason to stay."""

from __future__ import annotations

from django.apps import apps

from carillon.settings.environment import Environment
from notifications.features.retention.indexed_rules import INDEXED
from notifications.features.retention.stays import STAYS
from notifications.features.retention.walked_rules import WALKED

RULES = (*WALKED, *INDEXED)
LABELS = {model._meta.label for model in apps.get_models(include_auto_created=False)}


def test_every_model_has_a_rule_or_a_reason_to_stay() -> None:
    """A new model: add a rule to features/retention, or a reason to stays.py."""
    ruled = {model._meta.label for rule in RULES for model in rule.models}
    assert LABELS - ruled - STAYS.keys() == set()
    assert ruled & STAYS.keys() == set()


def test_no_reason_is_left_of_a_model_that_is_gone() -> None:
    assert STAYS.keys() - LABELS == set()


def test_every_rule_names_an_existing_setting_and_a_cost() -> None:
    names = Environment.__dataclass_fields__.keys()
    assert [rule.name for rule in RULES if rule.setting and rule.setting not in names] == []
    assert [rule.name for rule in RULES if not rule.cost or not rule.when] == []
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_every_setting_of_retention_is_used() -> None:
    used = {rule.setting for rule in RULES}
    elsewhere = {  # rounds of their own
        "cancelled_retention_days",
        "receipt_retention_days",
        "audit_retention_days",
        "audit_decision_retention_days",
    }
    found = {name for name in Environment.__dataclass_fields__ if "retention_days" in name}
    assert found - used - elsewhere == set()
