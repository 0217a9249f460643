"""Which calls an app serves."""

from collections.abc import Iterator
from typing import Any


def calls(app: Any) -> Iterator[tuple[str, str]]:
    """Each method and path, as Falcon's router keeps them. HEAD works wherever GET does, and is left out."""
    nodes = list(app._router._roots)
    while nodes:
        node = nodes.pop()
        nodes += node.children
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if node.resource is not None and hasattr(node.resource, f"on_{method.lower()}"):
                yield method, node.uri_template
