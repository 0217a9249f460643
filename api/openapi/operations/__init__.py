"""All operations of the API."""

from typing import Final

from api.openapi.operation import Operation
from api.openapi.operations import acting, overview, reading, submitting

OPERATIONS: Final[tuple[Operation, ...]] = (
    *submitting.OPERATIONS,
    *reading.OPERATIONS,
    *acting.OPERATIONS,
    *overview.OPERATIONS,
)
