"""The reason of a decision in plain English. Translations use the decision's figures instead."""

from __future__ import annotations

import math

from notifications.domain.experiments.proportions import Interval


def mismatch(p_value: float) -> str:
    """Returns why group sizes block a winner."""
    return (
        "Stop and look for the cause: the groups do not have the sizes that the weights promise. "
        f"The chance of this in a healthy test is {_share(p_value)}. No winner is named."
    )


def no_difference(lift: float) -> str:
    """Returns why a test without a winner may stop."""
    return (
        "Safe to stop: there is no difference of interest. "
        f"Every variant is within {_percent(lift)} of control."
    )


def keep_running(smallest: int, minimum: int, more: int | None) -> str:
    """Returns why the test should run on, and for how many people.

    smallest, minimum: people of the smallest variant, and how many each must have.
    more: of all variants together; None where nothing can be said.
    """
    if not smallest:
        return "Keep running: a variant has no people yet."
    if smallest < minimum:
        return (
            f"Keep running: the smallest variant has {smallest:,} people, "
            f"and no winner is named before each has {minimum:,}."
        )
    if more is None:
        return "Keep running: no clear difference is in sight. You may also end without a winner."
    return (
        "Keep running: the difference may still be chance. "
        f"If the rates stay as they are, the test needs about {_round(more):,} more people."
    )


def control_wins(control: str, rate: float, others: int) -> str:
    """Returns why control won against all other variants."""
    than = "the other variant" if others == 1 else "every other variant"
    return f"Safe to stop: {control} converts better ({_percent(rate)}) than {than}."


def variant_wins(
    variant: str, rate: float, control: str, control_rate: float, lift: Interval | None
) -> str:
    """Returns why a variant won, with its lift where that is known."""
    text = (
        f"Safe to stop: {variant} converts better ({_percent(rate)}) "
        f"than {control} ({_percent(control_rate)})."
    )
    if lift is None:
        return text
    high = "" if math.isinf(lift.high) else f" and {_percent(lift.high)}"
    return f"{text} The lift is {'between' if high else 'at least'} {_percent(lift.low)}{high}."


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _share(p_value: float) -> str:
    return f"1 in {_round(math.ceil(1 / p_value)):,}" if p_value > 1e-9 else "below 1 in a billion"


def _round(number: int) -> int:
    """Returns a number with its two leading digits."""
    return round(number, 2 - len(str(number))) if number >= 100 else number
