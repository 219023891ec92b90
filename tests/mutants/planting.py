"""Cosmic Ray's mutants of a module, less those that no test can see; a seeded sample of them."""

from __future__ import annotations

import ast
import functools
import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from tests.mutants.rooms import EQUIVALENT, SHARES, modules_of

_ARGUMENTS = {"core/VariableReplacer", "core/VariableInserter"}  # these ask for settings of theirs
_DRAWS = 50  # for each mutant: not every module has a place for every operator
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module. before and after: the lines that differ."""

    room: str
    module: Path
    operator: str
    line: int
    before: str
    after: str
    code: str

    @property
    def name(self) -> str:
        """The same for the same change, whatever else the module has."""
        text = f"{self.module}\0{self.operator}\0{self.before}\0{self.after}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def reason(self) -> str:
        """Why it changes nothing; empty for one that a test should see."""
        return EQUIVALENT.get((self.module.as_posix(), self.before, self.after), "")


def sample(seed: int, factor: float = 1.0) -> list[Mutant]:
    """The mutants of a run: each room's share, drawn by the seed, one at each place at most."""
    found: list[Mutant] = []
    for room, share in SHARES.items():
        draw = random.Random(f"{seed} {room}")
        paths = modules_of(room)
        weights = [path.stat().st_size for path in paths]
        chosen: dict[tuple[Path, Place], Mutant] = {}
        for _ in range(int(share * factor * _DRAWS)):
            if len(chosen) >= share * factor:
                break
            (path,) = draw.choices(paths, weights)
            operator = draw.choice(draw.choice(_families()))
            spots = list(_spots(path, operator))
            if spots:
                occurrence, place = draw.choice(spots)
                made = _plant(room, path, operator, occurrence, place)
                if made is not None:
                    chosen.setdefault((path, place), made)
        found += chosen.values()
    return found


@functools.cache
def _families() -> list[list[str]]:
    """Operators by their kind: those that replace one operator of Python by another are many."""
    families: dict[str, list[str]] = {}
    for name in sorted(plugins.operator_names()):
        # `is` for a comparison is lint, and mostly no change at all.
        if name not in _ARGUMENTS and not name.endswith(("_Is", "_IsNot")):
            families.setdefault(name.partition("_")[0], []).append(name)
    return list(families.values())


@functools.cache
def _parsed(path: Path) -> tuple[list[Any], list[tuple[Place, Place]]]:
    text = path.read_text()
    return list(ast_nodes(get_ast(text))), list(_unseen(text))


def _spots(path: Path, name: str) -> Iterator[tuple[int, Place]]:
    nodes, unseen = _parsed(path)
    operator = plugins.get_operator(name)()
    places = (start for node in nodes for start, _ in operator.mutation_positions(node))
    for occurrence, place in enumerate(places):
        if not any(first <= place < last for first, last in unseen):
            yield occurrence, place


def _unseen(text: str) -> Iterator[tuple[Place, Place]]:
    """Annotations, which nobody evaluates, what is logged, and what only forbids or hastens: the
    arguments of dataclasses, and caches."""
    for node in ast.walk(ast.parse(text)):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        parts += [
            each
            for each in getattr(node, "decorator_list", [])
            if re.match(r"dataclass|functools\.(lru_)?cache", ast.unparse(each))
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


def _plant(room: str, path: Path, operator: str, occurrence: int, place: Place) -> Mutant | None:
    text = path.read_text()
    code = mutate_code(text, plugins.get_operator(operator)(), occurrence)
    if code is None or not _compiles(code):
        return None
    old, new = text.splitlines(), code.splitlines()
    if len(old) == len(new):
        changed = [at for at, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]]
        if not changed:
            return None
        before, after = old[changed[0]].strip(), new[changed[0]].strip()
    else:
        before, after = old[place[0] - 1].strip(), "(removed)"
    return Mutant(room, path, operator.removeprefix("core/"), place[0], before, after, code)
