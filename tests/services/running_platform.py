"""A platform for the tests of one module: what they do, they do to their own jobs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.api_server import ApiServer
from tests.services.databases import fresh_database
from tests.services.fleet import Fleet
from tests.services.invariants import assert_sound
from tests.services.processes import Processes


@contextmanager
def running_platform(postgres: Postgres, redis: Valkey) -> Iterator[tuple[Fleet, ApiServer]]:
    """A worker and an API; in the end the record is sound."""
    processes = Processes()
    with fresh_database(postgres) as url, tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(url, redis.url, processes, Path(folder))
        api = ApiServer(fleet, processes)
        try:
            fleet.start("-t", "8")
            api.start()
            yield fleet, api
        finally:
            processes.stop_all()
        assert_sound(url)
