"""Which calls an app serves to programs: the pages of the dashboard are for people, and are described nowhere else."""

from collections.abc import Iterator
from typing import Any

from api.keys import is_page


def calls(app: Any) -> Iterator[tuple[str, str]]:
    """Each method and path, as Falcon's router keeps them. HEAD works wherever GET does, and is left out."""
    nodes = list(app._router._roots)
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if is_page(node.uri_template or ""):
            continue
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if node.resource is not None and hasattr(node.resource, f"on_{method.lower()}"):
                yield method, node.uri_template
