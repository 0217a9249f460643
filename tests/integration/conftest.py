"""What the tests of the engine's modules share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobplatform.local.postgres import Postgres
from jobplatform.settings import Settings
from tests.services.databases import fresh_database
from tests.services.invariants import assert_sound
from tests.services.journal import connected, read
from tests.services.workshop import QUICK, Workshop

#: The tables that tests of the journal fill.
_EMPTIED = (
    "jobs",
    "transitions",
    "workers",
    "job_logs",
    "job_tags",
    "payload_versions",
    "idempotency_keys",
    "paused_queues",
    "actions",
    "tallies",
)


@pytest.fixture(scope="session")
def _journal_database(postgres_server: Postgres) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def journal_url(_journal_database: str) -> Iterator[str]:
    """An empty database that the models of this thread are connected to: emptied, not made, as that is faster."""
    read(_journal_database, f"SET lock_timeout = '5s'; TRUNCATE {', '.join(_EMPTIED)}")
    with connected(_journal_database):
        yield _journal_database
    assert_sound(_journal_database)


@pytest.fixture
def workshop(journal_url: str, redis_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """A broker of one's own, whose worker one opens."""
    read(journal_url, "DELETE FROM workers")  # its own registers itself
    made = Workshop(Settings(database_url=journal_url, redis_url=redis_url, output_dir=str(tmp_path), **QUICK))
    yield made
    made.close()
