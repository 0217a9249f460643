"""The services that tests ask for. Each pytest-xdist worker has servers of its own, in a folder of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from jobplatform.local.ports import free_port as any_free_port
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from jobplatform.settings import settings
from tests.services.databases import fresh_database, make_template
from tests.services.invariants import assert_sound
from tests.services.mail import MailServer, mail_server
from tests.services.processes import Processes

#: What is random is the example, not how busy the machine is; and what failed once is in the report, not in a folder.
hypothesis.settings.register_profile("shared machine", deadline=None, database=None)
hypothesis.settings.load_profile("shared machine")

#: Data that no test needs after a power cut; and many processes, each with some connections.
_POSTGRES_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "128MB",
    "shared_buffers": "64MB",
}


@pytest.fixture(autouse=True)
def _settings_of_its_own() -> Iterator[None]:
    """What one test puts into the environment, no other finds in the settings."""
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Where the servers keep data and logs. Not below pytest's own folder: root's Postgres may run as somebody else."""
    folder = Path(tempfile.mkdtemp(prefix="jobplatform-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[Postgres]:
    """A Postgres whose ``stop`` and ``start`` take it away and bring it back, on the same port with the same data."""
    with (server_folder / "postgres.log").open("w", buffering=1) as log:
        server = Postgres(
            server_folder / "postgres",
            any_free_port(),
            on_line=lambda line: print(line, file=log),
            options=_POSTGRES_OPTIONS,
        )
        try:
            server.start()
            make_template(server)
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def redis_server(server_folder: Path) -> Iterator[Valkey]:
    """A Valkey whose ``stop`` and ``start`` take it away and bring it back, on the same port with the same data."""
    with (server_folder / "valkey.log").open("w", buffering=1) as log:
        server = Valkey(server_folder / "valkey", any_free_port(), on_line=lambda line: print(line, file=log))
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def database_url(postgres_server: Postgres) -> Iterator[str]:
    """A fresh database with the whole schema. Whatever a test did to it, its jobs and their history must agree."""
    with fresh_database(postgres_server) as url:
        yield url
        postgres_server.start()  # a test may have taken it away
        assert_sound(url)


@pytest.fixture
def redis_url(redis_server: Valkey) -> Iterator[str]:
    """An empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    yield redis_server.url
    redis_server.start()  # a test may have taken it away


@pytest.fixture
def smtp_server() -> Iterator[MailServer]:
    """A mail server that records its mails and refuses whom it is told to."""
    with mail_server() as server:
        yield server


@pytest.fixture
def free_port() -> int:
    """A port on 127.0.0.1 that nothing listens on."""
    return any_free_port()


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Starts commands; stops them all at the end, the last first, and fails if one is left."""
    started = Processes()
    yield started
    started.stop_all()
