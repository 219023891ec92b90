"""Bounds the results of operators on numbers, texts and lists in a template."""

from __future__ import annotations

from typing import Any

from jinja2.runtime import Context

from notifications.rendering.language.meter import (
    MAX_BITS,
    METER,
    LimitReached,
    check_number,
    check_text,
)


def check_numbers(operator: str, left: int, right: int) -> None:
    """Checks that the operands and the result of an operator have at most MAX_BITS bits.

    Raises:
        LimitReached: a number is too large.
    """
    check_number(left)
    check_number(right)
    bits = left.bit_length()
    if (operator == "*" and bits + right.bit_length() > MAX_BITS) or (
        operator == "**" and bits * abs(right) > MAX_BITS
    ):
        raise LimitReached("a number grows too large")


def check_sized(context: Context, operator: str, left: Any, right: Any) -> None:
    """Checks an operator on texts or lists.

    Texts may be added and repeated within limits; lists may be added; % does not format texts.

    Raises:
        LimitReached: the operator is not allowed, or its result is too long.
    """
    charge = context.parent[METER].charge
    if operator == "+":
        size = charge(left) + charge(right)
        if isinstance(left, str):
            check_text(size)
    elif operator == "*" and isinstance(left, str) and isinstance(right, int):
        _check_repeated(context, left, right)
    elif operator == "*" and isinstance(right, str) and isinstance(left, int):
        _check_repeated(context, right, left)
    else:
        raise LimitReached(f"{operator} does not work on texts and lists here")


def _check_repeated(context: Context, text: str, times: int) -> None:
    size = max(0, len(text) * times)
    check_text(size)
    context.parent[METER].spend(size)
