"""How many rows have a value, as Postgres' own statistics say: cheap, rough, and a minute old at the most."""

import threading
import time
from collections.abc import Iterable
from typing import Final

from jobplatform.queries.snapshot import rows

_FRESH: Final = 60.0

_FREQUENCIES: Final = """
    SELECT s.tablename, s.attname, greatest(c.reltuples, 0), s.most_common_vals::text::text[], s.most_common_freqs
    FROM pg_stats AS s JOIN pg_class AS c ON c.relname = s.tablename AND c.relnamespace = current_schema()::regnamespace
    WHERE s.schemaname = current_schema()
      AND (s.tablename, s.attname) IN (('jobs', 'status'), ('jobs', 'type'), ('job_tags', 'tag'))
"""


class _Known:
    until = 0.0
    #: Table and column → rows of each common value.
    common: dict[tuple[str, str], dict[str, float]] = {}  # noqa: RUF012


_known: Final = _Known()
_lock: Final = threading.Lock()


def estimated_rows(table: str, column: str, values: Iterable[str]) -> float:
    """About how many rows of the table have one of the values in this column. A value that is not common counts 0."""
    with _lock:
        if time.monotonic() > _known.until:
            _known.common = {
                (of_table, of_column): {
                    value: total * share for value, share in zip(common or [], shares or [], strict=True)
                }
                for of_table, of_column, total, common, shares in rows(_FREQUENCIES)
            }
            _known.until = time.monotonic() + _FRESH
    common = _known.common.get((table, column))
    # Of a table that nobody has looked at yet nothing is known: a tag is most likely to be rare, a type least.
    return 0.0 if common is None else sum(common.get(value, 0.0) for value in values)
