"""The settings that an operator's row may set for a provider, and their form.

A caller with the scope providers:write writes a row, and must not gain more than that scope. A row
therefore names no host, file, code or guard. A stored account includes its own secrets; no secret
of the environment is used with it. A setting that the vendor's `settings.py` does not allow to be
stored comes from the environment only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from notifications.delivery.vendor_settings import Storable, kinds_in
from notifications.domain.errors import FieldError
from notifications.infra.conf import environment

if TYPE_CHECKING:
    from notifications.infra.conf import Environment


def storable(key: str) -> dict[str, Storable]:
    """Returns the rules of a provider's settings that may be stored, by short name."""
    kind = kinds_in(environment()).get(key)
    return kind.storable() if kind else {}


def faults_of(key: str, given: Mapping[str, str], outer: Environment) -> list[FieldError]:
    """Returns the errors of settings to be stored. It does not check for unknown names.

    outer: the environment.
    """
    rules, kind = storable(key), kinds_in(outer).get(key)
    errors = [
        error for name in given for error in _faults_of_one(key, name, given, rules.get(name))
    ]
    if kind and not errors:
        errors += kind.stored_faults(given, outer)
    return errors


def _faults_of_one(
    key: str, name: str, given: Mapping[str, str], rule: Storable | None
) -> list[FieldError]:
    path = f"settings.{name}"
    if rule is None:
        detail = f"can only be set in the environment, by CARILLON_{key.upper()}_{name.upper()}"
        return [FieldError(path, "invalid_setting", detail)]
    try:
        rule.check(given[name])
    except (ValueError, RecursionError):
        return [FieldError(path, "invalid_setting", f"must be {rule.about}")]
    absent = [other for other in rule.needs if not given.get(other)]
    if absent:
        detail = f"needs {' and '.join(absent)} as well: no secret of the environment is used"
        return [FieldError(path, "secret_required", detail)]
    return []


def completed(key: str, given: Mapping[str, str], outer: Environment) -> dict[str, str]:
    """Returns stored settings with those that they reset, and those that the environment adds."""
    rules, kind = storable(key), kinds_in(outer).get(key)
    texts = dict(given)
    for name in given:
        texts |= {other: "" for other in rules[name].resets if other not in given}
    return kind.completed(texts, outer) if kind else texts
