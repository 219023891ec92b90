"""Replaces the dynamic parts of a mail's HTML by marks, and back.

Compilers of stylesheets and MJML understand HTML, not templates. So the flat syntax tree of a text
is written as HTML with a mark for every expression, statement and end of a branch. The compiler's
result becomes a tree again. Between tags a mark is an HTML comment, which is allowed anywhere, even
in a table. Within a tag, an attribute or a stylesheet it is a plain word.
"""

from __future__ import annotations

import itertools
import re
from typing import Any, NamedTuple

from jinja2 import nodes

from notifications.rendering.language.trees import copied
from notifications.rendering.mail.tags import Balance

MARK = re.compile(r"<!--zqjz(\d{1,7})zjqz-->|zqjz(\d{1,7})zjqz(?:=\"\")?", re.IGNORECASE)
_RAW = re.compile(
    r"<(style|mj-style|script|title|mj-title|mj-preview|textarea)\b[^<>]*+>", re.IGNORECASE
)


class Unfit(Exception):
    """The text cannot be compiled with its marks; the message gives the reason."""


class _Mark(NamedTuple):
    """The node that a mark stands for."""

    node: nodes.Node
    #: 0 begins a statement, 1 and more its further branches, -1 ends it. None: the node is an
    #: expression or a statement without branches.
    part: int | None
    #: Whether the mark is between tags.
    between: bool


class Skeleton:
    """The statements of a tree as text with marks."""

    def __init__(self, body: list[nodes.Node]) -> None:
        """Writes the statements as text.

        Raises:
            Unfit: the text contains a mark, or a branch cuts a tag in two.
        """
        self._marks: list[_Mark] = []
        self._text: list[str] = []
        self._place = _Place()
        self._length = 0
        self._branches: list[tuple[int, int, int]] = []  # (begin, end, line) of each
        self._write(body)
        self.text = "".join(self._text)
        self._check()

    def statements(self, text: str, *, may_lose: bool = False) -> list[nodes.Node]:
        """Returns the tree of a text that was made from `self.text`; marks may be repeated.

        may_lose: marks may be missing.

        Raises:
            Unfit: marks are missing, or their order would change what the template does.
        """
        pieces = _pieces(text)
        if any(isinstance(each, int) and each >= len(self._marks) for each in pieces):
            raise Unfit("it contains zqjz...zjqz, which has a meaning of its own")
        lost = set(range(len(self._marks))) - {each for each in pieces if isinstance(each, int)}
        if lost and not may_lose:
            line = self._marks[min(lost)].node.lineno
            raise _unfit("an expression or statement would be lost", line)
        reader = _Reader(self._marks, pieces)
        found, rest = reader.read(0)
        if rest != len(pieces):
            raise Unfit("its branches would cross one another")
        return found

    def _write(self, body: list[nodes.Node]) -> None:
        for node in body:
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    if isinstance(child, nodes.TemplateData):
                        self._write_text(child.data)
                    else:
                        self._mark(child, None)
            elif branches := _branches(node):
                self._write_branches(node, branches)
            else:
                self._mark(node, None)

    def _write_branches(self, node: nodes.Node, branches: list[list[nodes.Node]]) -> None:
        between = self._place.is_between()
        for part, branch in enumerate(branches):
            self._mark(node, part)
            begin = self._length
            self._write(branch)
            if between:
                self._branches.append((begin, self._length, node.lineno))
            if self._place.is_between() != between:
                raise _unfit("a branch begins within a tag and ends outside of it", node.lineno)
        self._mark(node, -1)

    def _check(self) -> None:
        """Raises Unfit for foreign marks, and for branches that cut an element in two."""
        marks = [int(mark[1] or mark[2]) for mark in MARK.finditer(self.text)]
        if marks != list(range(len(self._marks))):
            raise Unfit("it contains zqjz...zjqz, which has a meaning of its own")
        balance = Balance(self.text)
        for begin, end, line in self._branches:
            if not balance.is_even(begin, end):
                raise _unfit("a branch opens a tag that it does not close", line)

    def _write_text(self, data: str) -> None:
        self._place.read(data)
        self._append(data)

    def _append(self, text: str) -> None:
        self._text.append(text)
        self._length += len(text)

    def _mark(self, node: nodes.Node, part: int | None) -> None:
        between = self._place.is_between()
        if part is not None and self._place.is_sheet():
            raise _unfit("a stylesheet has branches", node.lineno)
        word = f"zqjz{len(self._marks)}zjqz"
        self._marks.append(_Mark(node, part, between))
        self._append(f"<!--{word}-->" if between else word)


class _Reader:
    """Builds statements from pieces: texts, and the numbers of marks."""

    def __init__(self, marks: list[_Mark], pieces: list[str | int]) -> None:
        self._marks = marks
        self._pieces = pieces
        texts = [each if isinstance(each, str) else "" for each in pieces]
        self._places = [0, *itertools.accumulate(map(len, texts))]
        self._balance = Balance("".join(texts))

    def read(self, at: int) -> tuple[list[nodes.Node], int]:
        """Returns the statements from a piece up to a mark that begins or ends a branch."""
        found: list[nodes.Node] = []
        pieces = self._pieces
        while at < len(pieces):
            piece = pieces[at]
            if isinstance(piece, str):
                _add_output(found, nodes.TemplateData(piece, lineno=1))
                at += 1
                continue
            mark = self._marks[piece]
            if mark.part is None:
                made = copied(mark.node)
                _add_output(found, made) if isinstance(made, nodes.Expr) else found.append(made)
                at += 1
            elif mark.part == 0:
                made, at = self._read_branches(at, mark.node)
                found.append(made)
            else:
                break
        return found, at

    def _read_branches(self, at: int, node: nodes.Node) -> tuple[nodes.Node, int]:
        branches: list[list[nodes.Node]] = []
        for part in [*range(1, len(_branches(node))), -1]:
            first = at + 1
            branch, at = self.read(first)
            if not self._balance.is_even(self._places[first], self._places[at]):
                raise _unfit("a branch would be torn apart", node.lineno)
            piece = self._pieces[at] if at < len(self._pieces) else None
            mark = self._marks[piece] if isinstance(piece, int) else None
            if mark is None or mark.node is not node or mark.part != part:
                raise _unfit("its branches would cross others", node.lineno)
            branches.append(branch)
        return _with_branches(node, branches), at + 1


class _Place:
    """Tracks whether the end of a text is between tags, within one, or within a raw element."""

    def __init__(self) -> None:
        self._open = ""  # the text that ends the open tag, comment or raw element

    def is_between(self) -> bool:
        return not self._open

    def is_sheet(self) -> bool:
        return self._open.endswith("style")

    def read(self, data: str) -> None:
        data, at = data.lower(), 0
        while at < len(data):
            if self._open:
                end = data.find(self._open, at)
                if end < 0:
                    return
                at, self._open = end + len(self._open), ""
                continue
            at = data.find("<", at)
            if at < 0:
                return
            at = self._enter(data, at)

    def _enter(self, data: str, at: int) -> int:
        if data.startswith("<!--", at):
            self._open = "-->"
            return at + 4
        raw = _RAW.match(data, at)
        if raw:
            self._open = f"</{raw[1]}"
            return raw.end()
        if data[at + 1 : at + 2].isalpha() or data[at + 1 : at + 2] in ("/", "!"):
            self._open = ">"
        return at + 1


def _branches(node: nodes.Node) -> list[list[nodes.Node]]:
    """Returns the statements within a statement by branch; empty for one without branches."""
    if isinstance(node, nodes.If):
        return [node.body, *(each.body for each in node.elif_), node.else_]
    if isinstance(node, nodes.For):
        return [node.body, node.else_]
    if isinstance(node, nodes.Scope | nodes.With | nodes.ScopedEvalContextModifier):
        return [node.body]
    return []


def _with_branches(node: Any, branches: list[list[nodes.Node]]) -> nodes.Node:
    """Returns a copy of a statement with other branches."""
    made = object.__new__(type(node))
    for name, field in node.iter_fields():
        is_branch = name in ("body", "else_", "elif_")
        setattr(made, name, field if is_branch else copied(field))
    made.lineno, made.environment, made.body = node.lineno, node.environment, branches[0]
    if isinstance(node, nodes.If):
        made.elif_ = [
            _with_branches(each, [body, []])
            for each, body in zip(node.elif_, branches[1:-1], strict=True)
        ]
    if isinstance(node, nodes.If | nodes.For):
        made.else_ = branches[-1]
    return made  # type: ignore[no-any-return]


def _add_output(found: list[nodes.Node], child: nodes.Expr) -> None:
    if not (found and isinstance(found[-1], nodes.Output)):
        found.append(nodes.Output([], lineno=child.lineno))
    found[-1].nodes.append(child)  # type: ignore[attr-defined]


def _pieces(text: str) -> list[str | int]:
    pieces: list[str | int] = []
    at = 0
    for mark in MARK.finditer(text):
        if mark.start() > at:
            pieces.append(text[at : mark.start()])
        pieces.append(int(mark[1] or mark[2]))
        at = mark.end()
    if at < len(text):
        pieces.append(text[at:])
    return pieces


def _unfit(why: str, line: int) -> Unfit:
    """Returns an Unfit with the line in its own text: links.LINES encodes the text's index."""
    return Unfit(f"{why} (line {line % 1_000_000})")
