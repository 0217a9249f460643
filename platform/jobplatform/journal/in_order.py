"""A transaction whose statements walk along the index that has their order, whatever Postgres believes of the rows."""

from collections.abc import Iterator
from contextlib import contextmanager

from jobplatform.models import database


@contextmanager
def walking_in_order() -> Iterator[None]:
    """Have Postgres sort only where no index gives the order.

    What it knows of the rows dates from the last ANALYZE. If none waited then, and 100,000 do now, any index by the
    status seems as good to it as the one in order: each look would go through all of them, and sort what is left.
    """
    with database.atomic():
        database.execute_sql("SET LOCAL enable_sort = off")
        yield
