"""The SQL in the documents runs as it stands."""

import re
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

DOCS = Path(__file__).parents[2] / "docs"
STATEMENTS = [
    statement.strip()
    for page in sorted(DOCS.glob("*.md"))
    for block in re.findall(r"^```sql\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for statement in block.split(";")
    if statement.strip()
]
#: One line each, in backticks.
INLINE = [
    statement
    for page in sorted(DOCS.glob("*.md"))
    for statement in re.findall(r"`(SELECT [^`\n]+ FROM [^`\n]+)`", page.read_text("utf-8"))
    if "…" not in statement
]


def test_there_is_sql_to_try() -> None:
    assert len(STATEMENTS) >= 7
    assert INLINE != []


@pytest.mark.parametrize("statement", STATEMENTS + INLINE)
def test_a_statement_of_the_docs_runs(statement: str, database_url: str) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)

        assert cursor.description is not None
