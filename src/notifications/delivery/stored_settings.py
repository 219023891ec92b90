"""What an operator's row may set of a provider, and in which form.

A row is written by whoever holds the scope providers:write, which must not become more than that.
So nothing stored names a host, a file, code or a guard, and an account that is stored brings its
own secrets: none of the environment's is ever used with it. A setting that its vendor's
`settings.py` does not let be stored is the environment's alone.
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
    """The settings of a provider that may be stored, by short name."""
    kind = kinds_in(environment()).get(key)
    return kind.storable() if kind else {}


def faults_of(key: str, given: Mapping[str, str], outer: Environment) -> list[FieldError]:
    """What is wrong with settings that are to be stored. Unknown names are not judged here.

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
        detail = f"is set by CARILLON_{key.upper()}_{name.upper()} in the environment alone"
        return [FieldError(path, "invalid_setting", detail)]
    try:
        rule.check(given[name])
    except (ValueError, RecursionError):
        return [FieldError(path, "invalid_setting", f"must be {rule.about}")]
    absent = [other for other in rule.needs if not given.get(other)]
    if absent:
        detail = f"needs {' and '.join(absent)} along with it: no secret of the environment is used"
        return [FieldError(path, "secret_required", detail)]
    return []


def completed(key: str, given: Mapping[str, str], outer: Environment) -> dict[str, str]:
    """Stored settings as they are used: with what they reset, and what the environment adds."""
    rules, kind = storable(key), kinds_in(outer).get(key)
    texts = dict(given)
    for name in given:
        texts |= {other: "" for other in rules[name].resets if other not in given}
    return kind.completed(texts, outer) if kind else texts
