"""YAML with line numbers, without surprises: duplicate keys, aliases and tags are errors."""

from __future__ import annotations

from typing import Any

import yaml

Node = yaml.Node | None


class _Strict(yaml.SafeLoader):
    """Refuses what a reader of the file would not expect."""

    def compose_node(self, parent: Node, index: Any) -> Node:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed here", mark)
        node: Node = super().compose_node(parent, index)
        if isinstance(node, yaml.MappingNode):
            _no_duplicates(node)
        return node


def parse(text: str) -> tuple[Node, Any]:
    """The tree with its marks, and the plain value. Raises `yaml.YAMLError`."""
    loader = _Strict(text)
    try:
        node = loader.get_single_node()
        return node, loader.construct_document(node) if node is not None else None
    finally:
        loader.dispose()


def where(node: Node, location: tuple[int | str, ...]) -> int:
    """The line (from 1) of the place that `location` names, or of its nearest parent that exists."""
    line = node.start_mark.line + 1 if node is not None else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _no_duplicates(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        name = str(key.value)
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{name} stands twice", key.start_mark)
        seen.add(name)
