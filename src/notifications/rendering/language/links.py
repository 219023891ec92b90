"""Puts layouts, partials and macros of other templates into a text, before it is compiled.

`extends`, `include` and `import` name templates by their paths. All of them are resolved in the
syntax tree, so the compiler gets one flat text. A render therefore loads nothing, cannot loop
through includes, and costs as little as if the author had written one text. Every name must be a
literal (`{% include 'partials.footer' %}`), never computed.

A node's line is stored as `place * LINES + line`, where place is the index in `Lines.names`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from jinja2 import nodes

from notifications.domain.errors import TemplateFault
from notifications.rendering.language.macros import Macros, rename
from notifications.rendering.language.sandbox import Sandbox
from notifications.rendering.language.sources import parse_source
from notifications.rendering.language.trees import copied, find_all, size_of, walk

LINES = 1_000_000
MAX_DEPTH = 8
MAX_PARTS = 100
MAX_NODES = 50_000
_RETAINED_IN_CHILD = (nodes.Assign, nodes.Macro)
_OF_CHILD = (*_RETAINED_IN_CHILD, nodes.Block, nodes.Extends)


class TemplatePart(NamedTuple):
    """A text of a template that is put into another text."""

    #: The name in messages, such as "email_html_template (en) of layouts.mail".
    name: str
    #: The path of its template.
    path: str
    source: str
    #: Finds the templates that this text names.
    library: Library


class Library(Protocol):
    """Finds the templates that a text names."""

    def part(self, path: str, *, layout: bool) -> TemplatePart | None:
        """Returns a template's text for this text's field and locale; None: no such template.

        Raises:
            TemplateFault: the template has no text for the field.
        """


class NoLibrary:
    """Finds no template: for texts that belong to none."""

    def part(self, path: str, *, layout: bool) -> TemplatePart | None:
        return None


class Lines(NamedTuple):
    """The names of the texts that a tree's lines come from."""

    names: list[str]

    def where(self, line: int | None) -> tuple[str, int | None]:
        """Returns the name of the text that a line of the tree comes from, and the line in it."""
        place, own = divmod(line or 0, LINES)
        return self.names[place], own or None


class LinkedText(NamedTuple):
    """A flat syntax tree."""

    tree: nodes.Template
    lines: Lines
    #: The paths of the templates that it is built with.
    paths: set[str]


def link(source: str, *, env: Sandbox, name: str, library: Library, path: str = "") -> LinkedText:
    """Returns the flat tree of a text and of all templates that it names.

    Raises:
        TemplateFault: template_syntax, unknown_reference or template_cycle, with name and line.
    """
    linker = _Linker(env)
    root = TemplatePart(name, path, source, library)
    body = linker.body(root, ())
    tree = nodes.Template([*linker.macros.definitions(), *body], lineno=1)
    tree.set_environment(env)
    return LinkedText(tree, Lines(linker.names), linker.paths)


class _Linker:
    def __init__(self, env: Sandbox) -> None:
        self.env = env
        self.names: list[str] = []
        self.paths: set[str] = set()
        self.macros = Macros()
        self._nodes = 0

    def body(self, part: TemplatePart, chain: tuple[str, ...]) -> list[nodes.Node]:
        """Returns the statements of a text, with its layouts around it and its partials in it."""
        blocks: dict[str, list[nodes.Block]] = {}
        before: list[nodes.Node] = []
        while True:
            chain = self._enter(part, chain)
            tree, _ = self._parsed(part, chain)
            self._collect_blocks(tree, blocks)
            extends = next(find_all(tree, nodes.Extends), None)
            if extends is None:
                break
            before += self._of_child(tree, extends)
            part = self._named(part, extends, layout=True)
        found = _Blocks(self, blocks).statements(tree.body)
        return [*before, *found]

    def spend(self, statements: Sequence[nodes.Node]) -> None:
        """Counts inserted nodes: partials within partials could grow without bound."""
        for node in statements:
            self._nodes += size_of(node)
        if self._nodes > MAX_NODES:
            raise TemplateFault(
                f"{self.names[0]} grows too large with what it includes", code="template_syntax"
            )

    def _enter(self, part: TemplatePart, chain: tuple[str, ...]) -> tuple[str, ...]:
        if part.path and part.path in chain:
            circle = " -> ".join([*chain[chain.index(part.path) :], part.path])
            raise TemplateFault(
                f"{self.names[0]} includes itself: {circle}", code="template_cycle", chain=circle
            )
        if len(chain) > MAX_DEPTH:
            raise TemplateFault(
                f"{self.names[0]}: templates include one another more than {MAX_DEPTH} deep",
                code="template_syntax",
            )
        if len(self.names) >= MAX_PARTS:
            raise TemplateFault(
                f"{self.names[0]} includes more than {MAX_PARTS} texts", code="template_syntax"
            )
        return (*chain, part.path)

    def _parsed(
        self, part: TemplatePart, chain: tuple[str, ...]
    ) -> tuple[nodes.Template, dict[str, str]]:
        """Returns the tree of a text with includes and imports resolved, and its macros' names."""
        tree = parse_source(part.source, env=self.env, name=part.name)
        place = len(self.names)
        self.names.append(part.name)
        for node in walk(tree):
            node.lineno = (node.lineno or 1) + place * LINES
        self.spend([tree])
        aliases = self._imports(tree, part, chain)
        own = rename(tree, place=place, aliases=aliases, fail=self.fail)
        _replace(tree, nodes.Include, lambda node: self._included(part, node, chain))
        return tree, own

    def _collect_blocks(self, tree: nodes.Template, blocks: dict[str, list[nodes.Block]]) -> None:
        """Appends a text's blocks after those of its children."""
        seen: set[str] = set()
        for block in find_all(tree, nodes.Block):
            if block.name in seen:
                self.fail(f"there are two blocks {block.name!r}", block)
            seen.add(block.name)
            blocks.setdefault(block.name, []).append(block)

    def _of_child(self, tree: nodes.Template, extends: nodes.Extends) -> list[nodes.Node]:
        """Returns the statements that a text keeps inside its layout: `set` and macros."""
        if [extends] != [*find_all(tree, nodes.Extends)] or extends not in tree.body:
            self.fail("extends may be used once, at the top of a text", extends)
        for node in tree.body:
            if not isinstance(node, _OF_CHILD) and not _is_blank(node):
                self.fail("a text with extends may contain only blocks, set and macros", node)
        return [node for node in tree.body if isinstance(node, _RETAINED_IN_CHILD)]

    def _imports(
        self, tree: nodes.Template, part: TemplatePart, chain: tuple[str, ...]
    ) -> dict[str, str | Mapping[str, str]]:
        """Returns the meaning of a text's imported names: a macro, or macros by name."""
        aliases: dict[str, str | Mapping[str, str]] = {}
        for whole in find_all(tree, nodes.Import):
            aliases[whole.target] = self._macros_of(self._named(part, whole), chain)
        for node in find_all(tree, nodes.FromImport):
            found = self._macros_of(self._named(part, node), chain)
            for each in node.names:
                name, alias = each if isinstance(each, tuple) else (each, each)
                if name not in found:
                    self.fail(f"there is no macro {name!r} in {_path_of(node)}", node)
                aliases[alias] = found[name]
        _replace(tree, nodes.Import, lambda _node: [])
        _replace(tree, nodes.FromImport, lambda _node: [])
        return aliases

    def _macros_of(self, part: TemplatePart, chain: tuple[str, ...]) -> Mapping[str, str]:
        chain = self._enter(part, chain)
        known = self.macros.known(part.path)
        if known is not None:
            return known
        tree, own = self._parsed(part, chain)
        return self.macros.add(part.path, tree, own)

    def _included(
        self, part: TemplatePart, node: nodes.Include, chain: tuple[str, ...]
    ) -> list[nodes.Node]:
        if not node.with_context:
            self.fail("include always passes the variables: remove `without context`", node)
        found = self._named(part, node, missing=node.ignore_missing)
        if found is None:
            return []
        return [nodes.Scope(self.body(found, chain), lineno=node.lineno)]

    def _named(
        self, part: TemplatePart, node: Any, *, layout: bool = False, missing: bool = False
    ) -> Any:
        """Returns the text that a statement names."""
        path = _path_of(node)
        if path is None:
            self.fail("the name of a template must be a literal in quotes", node)
        try:
            found = part.library.part(str(path), layout=layout)
        except TemplateFault as fault:
            raise self._unknown(node, path, fault.detail) from fault
        if found is not None:
            self.paths.add(str(path))
        elif not missing:
            raise self._unknown(node, path, f"there is no published template {path!r}")
        return found

    def _unknown(self, node: nodes.Node, path: str | None, why: str) -> TemplateFault:
        name, line = self._where(node)
        return TemplateFault(
            f"{name}, line {line}: {why}", code="unknown_reference", line=line, path=path
        )

    def fail(self, message: str, node: nodes.Node) -> None:
        """Raises a syntax fault at a statement."""
        name, line = self._where(node)
        raise TemplateFault(f"{name}, line {line}: {message}", code="template_syntax", line=line)

    def _where(self, node: nodes.Node) -> tuple[str, int]:
        place, line = divmod(node.lineno, LINES)
        return self.names[place], line


class _Blocks:
    """Replaces the blocks of a layout by those of its children."""

    def __init__(self, linker: _Linker, blocks: Mapping[str, list[nodes.Block]]) -> None:
        self._linker = linker
        self._blocks = blocks

    def statements(self, body: list[nodes.Node]) -> list[nodes.Node]:
        holder = nodes.Template(body, lineno=1)
        _replace(holder, nodes.Block, lambda block: self._filled(block.name, 0))
        self._linker.spend(holder.body)
        return holder.body

    def _filled(self, name: str, level: int) -> list[nodes.Node]:
        """Returns a block's statements: level 0 is the youngest child, 1 its `super()`, etc."""
        chosen = self._blocks[name][level]
        self._linker.spend(chosen.body)  # counted before the copy: nested blocks multiply
        holder = nodes.Template(copied(chosen.body), lineno=chosen.lineno)
        _replace(holder, nodes.Block, lambda block: self._filled(block.name, 0))
        _replace(holder, nodes.Output, lambda output: self._with_super(output, name, level))
        return [nodes.Scope(holder.body, lineno=chosen.lineno)]

    def _with_super(self, output: nodes.Output, name: str, level: int) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for child in output.nodes:
            if not _is_super(child):
                found.append(nodes.Output([child], lineno=child.lineno))
                continue
            if level + 1 >= len(self._blocks[name]):
                self._linker.fail(f"no layout has a block {name!r} for super()", child)
            found += self._filled(name, level + 1)
        return found


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(child, nodes.TemplateData) and not child.data.strip() for child in node.nodes
    )


def _is_super(node: nodes.Node) -> bool:
    return (
        isinstance(node, nodes.Call)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "super"
    )


def _path_of(node: Any) -> str | None:
    name = node.template
    return name.value if isinstance(name, nodes.Const) and isinstance(name.value, str) else None


def _replace(holder: nodes.Node, kind: type[nodes.Node], replacement: Any) -> None:
    """Replaces every node of a kind by a list of nodes; the new nodes are not visited."""
    for name, value in holder.iter_fields():
        if isinstance(value, list):
            made: list[Any] = []
            for each in value:
                if isinstance(each, kind):
                    made += replacement(each)
                    continue
                if isinstance(each, nodes.Node):
                    _replace(each, kind, replacement)
                made.append(each)
            setattr(holder, name, made)
        elif isinstance(value, nodes.Node):
            _replace(value, kind, replacement)
