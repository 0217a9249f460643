"""By which indexes Postgres finds what is asked for."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from jobplatform.models import database
from jobplatform.query import IN_ORDER


def scans_of(act: Callable[[], object]) -> set[str]:
    """The names of the indexes, and of the tables read whole, that the queries within scan."""
    execute: Any = database.execute_sql
    found: set[str] = set()

    def explained(sql: str, values: Any = None) -> Any:
        before, setting, query = sql.rpartition(IN_ORDER)
        if query.split(None, 1)[0] in ("SELECT", "WITH"):
            ((((plan,),)),) = execute(f"{before}{setting}EXPLAIN (FORMAT JSON) {query}", values).fetchall()
            found.update(_scans(plan["Plan"]))
        return execute(sql, values)

    with patch.object(database, "execute_sql", explained):
        act()
    return found


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    elif plan["Node Type"] == "Seq Scan":
        yield f"all of {plan['Relation Name']}"
    for part in plan.get("Plans", ()):
        yield from _scans(part)
