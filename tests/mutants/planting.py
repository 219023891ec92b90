"""A seeded sample of Cosmic Ray's mutants, without those that no test can detect."""

from __future__ import annotations

import ast
import functools
import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from tests.mutants.areas import EQUIVALENT, SHARES, modules_of

_ARGUMENTS = {"core/VariableReplacer", "core/VariableInserter"}  # these need settings of their own
_SAME = ("_Is", "_IsNot", "_Is_Eq", "_IsNot_NotEq")
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module."""

    area: str
    module: Path
    operator: str
    line: int
    #: The number of the line among the lines of the module with the same text.
    nth: int
    #: The line, and the changed line.
    before: str
    after: str
    #: The text of the changed module.
    code: str

    @property
    def name(self) -> str:
        """A hash of the change: independent of the rest of the module."""
        text = f"{self.module}\0{self.operator}\0{self.nth}\0{self.before}\0{self.after}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def reason(self) -> str:
        """Why no test can detect it; empty if a test should."""
        return EQUIVALENT.get((self.module.as_posix(), self.before, self.after), "")

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.operator}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Spot:
    """A position at which an operator may change a module, and its number there."""

    module: Path
    operator: str
    occurrence: int
    place: Place


def sample(seed: int, factor: float = 1.0) -> list[Mutant]:
    """Returns the mutants of a run: each area's share, at most one at each position.

    Positions are ranked by a hash of their line, so that a change of a line affects only that line.
    """
    found: list[Mutant] = []
    for area, share in SHARES.items():
        chosen: dict[tuple[Path, Place], Mutant] = {}
        for spot in _ranked(area, seed):
            if len(chosen) >= share * factor:
                break
            if (spot.module, spot.place) not in chosen:
                made = _plant(area, spot)
                if made is not None:
                    chosen[spot.module, spot.place] = made
        found += chosen.values()
    return found


def _ranked(area: str, seed: int) -> Iterator[Spot]:
    """Alternates the families of operators, because some have 100 times as many positions."""
    families = []
    for operators in _families():
        spots = [
            spot for path in modules_of(area) for each in operators for spot in _spots(path, each)
        ]
        families.append(sorted(spots, key=functools.partial(_rank, seed)))
    for turn in itertools.zip_longest(*families):
        yield from (spot for spot in turn if spot is not None)


def _rank(seed: int, spot: Spot) -> bytes:
    line, column = spot.place
    text = _lines(spot.module)[line - 1]
    return hashlib.sha256(
        f"{seed}\0{spot.module}\0{spot.operator}\0{column}{text}".encode()
    ).digest()


@functools.cache
def _families() -> list[list[str]]:
    """Groups the operators by kind: many of them replace one Python operator by another."""
    families: dict[str, list[str]] = {}
    for name in sorted(plugins.operator_names()):
        # Lint finds `is` for a comparison; that, and `==` for `is`, mostly change nothing.
        if name not in _ARGUMENTS and not name.endswith(_SAME):
            families.setdefault(name.partition("_")[0], []).append(name)
    return list(families.values())


@functools.cache
def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@functools.cache
def _parsed(path: Path) -> tuple[list[Any], list[tuple[Place, Place]]]:
    text = path.read_text()
    return list(ast_nodes(get_ast(text))), list(_unseen(text))


def _spots(path: Path, name: str) -> Iterator[Spot]:
    nodes, unseen = _parsed(path)
    operator = plugins.get_operator(name)()
    places = (start for node in nodes for start, _ in operator.mutation_positions(node))
    lines = _lines(path)
    for occurrence, place in enumerate(places):
        # The bare `*` of a signature is not a multiplication.
        is_mark = lines[place[0] - 1][place[1] :].startswith(("*,", "/,"))
        if not is_mark and not any(first <= place < last for first, last in unseen):
            yield Spot(path, name, occurrence, place)


def _unseen(text: str) -> Iterator[tuple[Place, Place]]:
    """Yields the parts of a module that no test can observe.

    These are annotations, which are never evaluated, log calls, arguments of dataclasses, `kw_only`
    of structures, and caches.
    """
    for node in ast.walk(ast.parse(text)):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        parts += [
            each
            for each in getattr(node, "decorator_list", [])
            if re.match(r"dataclass|functools\.(lru_)?cache", ast.unparse(each))
        ]
        parts += [
            each for each in getattr(node, "keywords", []) if getattr(each, "arg", "") == "kw_only"
        ]
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
            parts.append(node)
        for part in parts:
            if part is not None:
                yield (
                    (part.lineno, max(0, part.col_offset - 1)),  # with the @ of a decorator
                    (part.end_lineno or part.lineno, part.end_col_offset or 0),
                )


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _plant(area: str, spot: Spot) -> Mutant | None:
    text = spot.module.read_text()
    code = mutate_code(text, plugins.get_operator(spot.operator)(), spot.occurrence)
    if code is None or not _compiles(code):
        return None
    old, new, line = text.splitlines(), code.splitlines(), spot.place[0]
    if len(old) == len(new):
        changed = [at for at, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]]
        if not changed:
            return None
        line = changed[0] + 1
        before, after = old[changed[0]].strip(), new[changed[0]].strip()
    else:
        before, after = old[line - 1].strip(), "(removed)"
    nth = sum(each.strip() == before for each in old[:line])
    operator = spot.operator.removeprefix("core/")
    return Mutant(area, spot.module, operator, line, nth, before, after, code)
