"""How the text at a place of a mail looks: its colours and its size, as far as a style says so."""

from __future__ import annotations

import re
from typing import NamedTuple

from notifications.rendering.accessibility.colours import (
    BLACK,
    LINK,
    WHITE,
    Colour,
    contrast,
    parse_colour,
)
from notifications.rendering.accessibility.markup import Tag, style_of

LEAST_CONTRAST, LEAST_CONTRAST_OF_LARGE = 4.5, 3.0
_LARGE_PX, _LARGE_BOLD_PX, _BOLD = 24.0, 18.66, 700
_SIZE = re.compile(r"(?<![\w./-])(\d{1,4}(?:\.\d{1,4})?)(px|pt|em|rem|%)")
_WEIGHT = re.compile(r"\b([1-9]00|bold|normal)\b")
_SCALES = {"h1": 2.0, "h2": 1.5, "h3": 1.17, "small": 0.83}
_BOLD_TAGS = frozenset(("b", "strong", "th", "h1", "h2", "h3", "h4", "h5", "h6"))


class TextLook(NamedTuple):
    """The look of a text. A colour of None is not known."""

    colour: Colour | None = BLACK
    below: Colour | None = WHITE
    px: float = 16.0
    is_bold: bool = False
    is_hidden: bool = False

    def inside(self, tag: Tag) -> TextLook:
        """Returns the look of a text in an element that stands in this one."""
        style = style_of(tag)
        px = _px(tag, style, self.px)
        return TextLook(
            colour=self._colour(tag, style),
            below=self._below(tag, style),
            px=px,
            is_bold=_is_bold(tag, style, self.is_bold),
            is_hidden=self.is_hidden or _is_hidden(style, px),
        )

    def lacking(self) -> float | None:
        """Returns the contrast where it is too low; None where it suffices or is not known."""
        if self.is_hidden or self.colour is None or self.below is None:
            return None
        is_large = self.px >= (_LARGE_BOLD_PX if self.is_bold else _LARGE_PX)
        found = contrast(self.colour.over(self.below), self.below)
        return found if found < (LEAST_CONTRAST_OF_LARGE if is_large else LEAST_CONTRAST) else None

    def _colour(self, tag: Tag, style: dict[str, str]) -> Colour | None:
        given = style.get("color") or tag.attributes.get("color" if tag.name == "font" else "text")
        if given and given not in ("inherit", "currentcolor"):
            return parse_colour(given)
        if tag.name == "a" and "href" in tag.attributes and not given:
            return LINK
        return self.colour

    def _below(self, tag: Tag, style: dict[str, str]) -> Colour | None:
        if "background" in tag.attributes:
            return None
        given = [style[name] for name in ("background-color", "background") if name in style]
        if any("url(" in each or "gradient" in each for each in (*given, *_images(style))):
            return None
        given += [tag.attributes["bgcolor"]] if "bgcolor" in tag.attributes else []
        if not given or given[0] in ("inherit", "none", "initial", "unset"):
            return self.below
        found = parse_colour(given[0])
        if found is None or self.below is None:
            return found if found is not None and found.opacity == 1 else None
        return found.over(self.below)


def _images(style: dict[str, str]) -> list[str]:
    return [style["background-image"]] if "background-image" in style else []


def _px(tag: Tag, style: dict[str, str], outer: float) -> float:
    found = _SIZE.search(style.get("font-size", "") or style.get("font", ""))
    if found is None:
        if style.get("font-size") == "0":
            return 0.0
        return outer * _SCALES.get(tag.name, 1.0)
    number, unit = float(found[1]), found[2]
    scales = {"px": 1.0, "pt": 4 / 3, "em": outer, "rem": 16.0, "%": outer / 100}
    return min(number * scales[unit], 10_000.0)


def _is_bold(tag: Tag, style: dict[str, str], outer: bool) -> bool:
    found = _WEIGHT.search(style.get("font-weight", "") or style.get("font", ""))
    if found is None:
        return outer or tag.name in _BOLD_TAGS
    return found[1] == "bold" or (found[1] != "normal" and int(found[1]) >= _BOLD)


def _is_hidden(style: dict[str, str], px: float) -> bool:
    return (
        px < 2
        or style.get("display") == "none"
        or style.get("visibility") == "hidden"
        or style.get("opacity", "1") in ("0", "0.0")
        or style.get("mso-hide") == "all"
        or style.get("max-height") in ("0", "0px")
    )
