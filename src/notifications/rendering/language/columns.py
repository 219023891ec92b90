"""Finds the column of a syntax error; Jinja itself reports only the line."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Token
from jinja2.parser import Parser

_NEW_LINE = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r"'([^']+)'")
_WORDS = 4  # quoted words of a message that are searched for
_OPENERS = ("block_begin", "variable_begin")


class _Placed(NamedTuple):
    """A token and its place in the text."""

    token: Token
    #: The offset at which the token begins.
    at: int


def column_of(env: Any, source: str, error: TemplateSyntaxError) -> int | None:
    """Returns the column (from 1) of an error; None when it cannot be determined."""
    text = "\n".join(_NEW_LINE.split(source)).removesuffix("\n")
    tokens, end = _placed(env, text)
    at = end if end < len(text) else _stopped_at(env, source, tokens, len(text))
    if at is None or text.count("\n", 0, at) + 1 != error.lineno:
        at = _named(tokens, error.lineno, error.message or "")
    return None if at is None else at - text.rfind("\n", 0, at)


def _placed(env: Any, text: str) -> tuple[list[_Placed], int]:
    """Returns the tokens that the parser sees, and the end of the last readable one."""
    found: list[_Placed] = []
    at = 0
    lexer = env.lexer
    try:
        for raw in lexer.tokeniter(text, None):
            # Whitespace control removes blanks between tokens, so each token is searched for.
            begin = text.find(raw[2], at)
            begin = at if begin < 0 else begin
            at = begin + len(raw[2])
            found += [_Placed(token, begin) for token in lexer.wrap(iter([raw]))]
    except (TemplateSyntaxError, ValueError):
        pass  # only the end of the readable part matters here; the caller reports the error
    return found, at


def _stopped_at(env: Any, source: str, tokens: list[_Placed], end: int) -> int | None:
    """Returns where the parser stops; None when it succeeds: the error was found after parsing."""
    parser = Parser(env, source)
    try:
        parser.parse()
    except (TemplateSyntaxError, ValueError):
        read = len(tokens) - sum(1 for _ in parser.stream)
        return tokens[read].at if read < len(tokens) else end
    return None


def _named(tokens: list[_Placed], line: int, message: str) -> int | None:
    """Returns the offset of a word that the message quotes, else of the line's first tag."""
    here = [each for each in tokens if each.token.lineno == line]
    for word in _QUOTED.findall(message)[:_WORDS]:
        for each in here:
            if str(each.token.value) == word:
                return each.at
    return next((each.at for each in here if each.token.type in _OPENERS), None)
