"""What the API says of itself: an OpenAPI 3.1 document, made from what it reads and answers with."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from api.openapi.headers import HEADERS
from api.openapi.operations import OPERATIONS
from api.openapi.parameters import PARAMETERS
from api.openapi.schemas import schemas
from jobplatform.job_actor import JobActor

_INFO: Final = (
    "Long-running work as jobs. Times are RFC 3339, in UTC. Every error is a problem document (RFC 9457), whose `type`"
    " leads to its page. `HEAD` works wherever `GET` does. A query parameter that is not known is ignored by `GET` and"
    " refused by `POST`, and an empty one counts as left out."
)
_KEY: Final = (
    "A key: `Authorization: Bearer <key>`. Asked for where the platform has `API_KEYS`, each of which is good for some"
    " of the scopes `submit`, `read` and `operate`."
)


def describe(types: Mapping[str, JobActor[..., Any]], *, keyed: bool) -> dict[str, Any]:
    """The document of an API with these job types. ``keyed``: whether it asks for keys."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation.described(keyed=keyed)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Job platform", "version": version("jobplatform"), "description": _INFO},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas(types),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": _KEY}},
        },
    }
