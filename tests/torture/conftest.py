"""A small platform with the probe actors, for tests that break a part of it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from jobplatform.torture.stack import Servers
from tests.torture.platform_under_test import PlatformUnderTest

StartPlatform = Callable[..., PlatformUnderTest]


@pytest.fixture
def start_platform(
    postgres_server: Postgres,
    redis_server: Valkey,
    database_url: str,
    redis_url: str,  # noqa: ARG001 - it is empty
) -> Iterator[StartPlatform]:
    """Starts one API process, worker groups of one process each, and a keeper, with the given settings."""
    started: list[PlatformUnderTest] = []

    @contextmanager
    def folder() -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="jobplatform-broken-") as name:
            yield Path(name)

    with folder() as path:

        def start(groups: int = 2, **settings: str) -> PlatformUnderTest:
            platform = PlatformUnderTest(path, Servers(postgres_server, redis_server, database_url), groups, settings)
            started.append(platform)
            platform.start()
            return platform

        yield start
        for platform in started:
            platform.stop()
