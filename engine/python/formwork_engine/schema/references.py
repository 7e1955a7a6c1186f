"""Where `$ref` leads, inside one schema document; nothing is fetched."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin

from formwork_engine.errors import MalformedError, UnsupportedError
from formwork_engine.schema.keywords import pointer_of, subschemas

_DRAFT_OF: Final = {
    "json-schema.org/draft-04/schema": 4,
    "json-schema.org/draft-06/schema": 6,
    "json-schema.org/draft-07/schema": 7,
    "json-schema.org/draft/2019-09/schema": 2019,
    "json-schema.org/draft/2020-12/schema": 2020,
    "json-schema.org/schema": 2020,
}
NEWEST_DRAFT: Final = 2020


@dataclass(frozen=True, eq=False)
class Node:
    """One schema of the document and where it stands; compared by identity."""

    schema: dict[str, Any]
    path: tuple[str, ...]
    base: str
    """URI that its references are relative to."""

    @property
    def pointer(self) -> str:
        """JSON pointer of the place."""
        return pointer_of(self.path)


Subschema = Node | bool
"""A schema below another: `true` and `false` have no place of their own."""


class Document:
    """A schema document whose places can be found by reference.

    Args:
        root: Parsed and bounded.

    Raises:
        UnsupportedError: It names a dialect that is not known.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self.draft = _read_draft(root)
        self._resources: dict[str, Node] = {}
        self._anchors: dict[tuple[str, str], Node] = {}
        self._nodes: dict[int, Node] = {}
        self._enter(root, (), "")
        self.root = self._nodes[id(root)]

    def nodes(self) -> Iterator[Node]:
        """Yield every schema at a place where the specifications put one."""
        yield from self._nodes.values()

    def node(self, schema: dict[str, Any], parent: Node, path: tuple[str, ...]) -> Node:
        """Return the node of a schema below another: the same one each time."""
        node = self._nodes.get(id(schema))
        if node is None:  # reached through a keyword that nobody knows, or made up
            node = self._nodes[id(schema)] = Node(schema, (*parent.path, *path), parent.base)
        return node

    def follow(self, node: Node, reference: str) -> Subschema:
        """Return the schema that a reference in a node leads to.

        Raises:
            UnsupportedError: It leads out of the document, or to nothing in it.
        """
        uri, fragment = urldefrag(_joined(node, reference))
        resource = self._resources.get(uri)
        if resource is None:
            raise UnsupportedError(node.pointer, "$ref", "leads out of the schema")
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            anchor = self._anchors.get((uri, fragment))
            if anchor is None:
                raise UnsupportedError(node.pointer, "$ref", "leads to an anchor that is not there")
            return anchor
        return self._walk(node, resource, fragment)

    def _walk(self, origin: Node, resource: Node, pointer: str) -> Subschema:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        value: Any = resource.schema
        for part in parts:
            value = _child(value, part)
            if value is None:
                raise UnsupportedError(origin.pointer, "$ref", "leads to nothing in the schema")
        if isinstance(value, bool):
            return value
        if not isinstance(value, dict):
            raise UnsupportedError(origin.pointer, "$ref", "leads to something that is no schema")
        return self.node(value, resource, tuple(parts))

    def _enter(self, schema: dict[str, Any], path: tuple[str, ...], base: str) -> None:
        waiting = [(schema, path, base)]
        while waiting:
            schema, path, base = waiting.pop()
            base = self._register(schema, path, base)
            for keyword, value in schema.items():
                for below, child in subschemas(keyword, value):
                    if isinstance(child, dict) and id(child) not in self._nodes:
                        waiting.append((child, (*path, *below), base))

    def _register(self, schema: dict[str, Any], path: tuple[str, ...], base: str) -> str:
        own = schema.get("id" if self.draft == 4 else "$id")  # noqa: PLR2004 - the draft's number
        own = own if isinstance(own, str) else ""
        uri, fragment = urldefrag(own)
        starts_resource = bool(uri) or not path
        if uri:
            base = urldefrag(urljoin(base, uri)).url
        node = Node(schema, path, base)
        self._nodes[id(schema)] = node
        if starts_resource:
            self._resources.setdefault(base, node)
        for name in (schema.get("$anchor"), fragment):
            if isinstance(name, str) and name:
                self._anchors.setdefault((base, name), node)
        return base


def _joined(node: Node, reference: str) -> str:
    try:
        return urljoin(node.base, reference) if reference else node.base
    except ValueError as error:
        raise MalformedError("is no URI reference", pointer=node.pointer, keyword="$ref") from error


def _child(value: Any, part: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.isdecimal() and len(part) < 7 and int(part) < len(value):  # noqa: PLR2004 - a list index of seven digits is no schema's
        return value[int(part)]
    return None


def _read_draft(root: dict[str, Any]) -> int:
    uri = root.get("$schema", "")
    if not isinstance(uri, str):
        raise MalformedError("is not a URI", keyword="$schema")
    if not uri:
        return NEWEST_DRAFT
    name = uri.removesuffix("#").removeprefix("http://").removeprefix("https://")
    if name not in _DRAFT_OF:
        raise UnsupportedError("", "$schema", "names a dialect that is not known")
    return _DRAFT_OF[name]
