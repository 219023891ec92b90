"""In which column of a line a syntax error stands; Jinja itself knows the line only."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Token
from jinja2.parser import Parser

_NEW_LINE = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r"'([^']+)'")
_WORDS = 4  # of a message that are looked for
_OPENERS = ("block_begin", "variable_begin")


class _Placed(NamedTuple):
    """A token, and where it begins in the text."""

    token: Token
    at: int


def column_of(env: Any, source: str, error: TemplateSyntaxError) -> int | None:
    """The column, from 1, at which the author should look; None when it cannot be told."""
    text = "\n".join(_NEW_LINE.split(source)).removesuffix("\n")
    tokens, end = _placed(env, text)
    at = end if end < len(text) else _stopped_at(env, source, tokens, len(text))
    if at is None or text.count("\n", 0, at) + 1 != error.lineno:
        at = _named(tokens, error.lineno, error.message or "")
    return None if at is None else at - text.rfind("\n", 0, at)


def _placed(env: Any, text: str) -> tuple[list[_Placed], int]:
    """The tokens that the parser sees, and where the last that could be read ends."""
    found: list[_Placed] = []
    at = 0
    lexer = env.lexer
    try:
        for raw in lexer.tokeniter(text, None):
            # Whitespace control takes blanks between tokens away: a token begins where it is found.
            begin = text.find(raw[2], at)
            begin = at if begin < 0 else begin
            at = begin + len(raw[2])
            found += [_Placed(token, begin) for token in lexer.wrap(iter([raw]))]
    except (TemplateSyntaxError, ValueError):
        pass  # what is wanted here is how far it came; the caller tells what is wrong
    return found, at


def _stopped_at(env: Any, source: str, tokens: list[_Placed], end: int) -> int | None:
    """Where the parser stops; None when it does not: what is wrong was seen later."""
    parser = Parser(env, source)
    try:
        parser.parse()
    except (TemplateSyntaxError, ValueError):
        read = len(tokens) - sum(1 for _ in parser.stream)
        return tokens[read].at if read < len(tokens) else end
    return None


def _named(tokens: list[_Placed], line: int, message: str) -> int | None:
    """Where the word that a message quotes stands in the line, else the line's first tag."""
    here = [each for each in tokens if each.token.lineno == line]
    for word in _QUOTED.findall(message)[:_WORDS]:
        for each in here:
            if str(each.token.value) == word:
                return each.at
    return next((each.at for each in here if each.token.type in _OPENERS), None)
