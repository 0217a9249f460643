"""Requests are counted in Redis, each sender's apart; without Redis all are let in, at once."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from api import rate_limit
from api.rate_limit import RateLimit
from jobplatform.local.valkey import Valkey


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no outage of Redis."""
    monkeypatch.setattr(rate_limit, "PATIENCE", 5.0)


def _run(url: str, limit: str, do: Callable[[RateLimit], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        counted = RateLimit(limit, url)
        try:
            return await do(counted)
        finally:
            await counted.close()

    return asyncio.run(run())


def test_so_many_are_let_in_and_then_it_says_when_to_come_back(redis_url: str) -> None:
    async def many(limit: RateLimit) -> Any:
        return [await limit.hit("key:ada") for _ in range(5)], await limit.hit("key:bob")

    ada, bob = _run(redis_url, "3/hour", many)

    assert ada[:3] == [None] * 3
    assert bob is None
    for refused in ada[3:]:
        assert 1 <= int(refused["Retry-After"]) <= 3600
        assert refused["RateLimit-Policy"] == '"default";q=3;w=3600'
        assert refused["RateLimit"] == f'"default";r=0;t={refused["Retry-After"]}'


def test_all_processes_count_together(redis_url: str) -> None:
    async def once(limit: RateLimit) -> Any:
        return await limit.hit("key:ada")

    answers = [_run(redis_url, "2/hour", once) is None for _ in range(3)]

    assert answers == [True, True, False]


def test_fifty_at_once_are_counted_to_the_last(redis_url: str) -> None:
    async def burst(limit: RateLimit) -> Any:
        return await asyncio.gather(*(limit.hit("key:ada") for _ in range(50)))

    assert _run(redis_url, "20/day", burst).count(None) == 20


def test_without_redis_all_are_let_in_at_once_and_the_log_says_so_once(
    redis_url: str, redis_server: Valkey, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "PAUSE", 0.1)

    async def outage(limit: RateLimit) -> Any:
        assert await limit.hit("key:ada") is None
        assert await limit.hit("key:ada") is not None
        redis_server.stop()
        before = time.monotonic()
        answers = [await limit.hit("key:ada") for _ in range(200)]
        seconds = time.monotonic() - before
        redis_server.start()
        deadline = time.monotonic() + 20
        while await limit.hit("key:eve") is None:
            assert time.monotonic() < deadline
        return answers, seconds

    with caplog.at_level(logging.WARNING, logger="api"):
        answers, seconds = _run(redis_url, "1/hour", outage)

    assert answers == [None] * 200
    assert seconds < 1
    assert len(caplog.messages) == 2
    assert "all are let in" in caplog.messages[0]


def test_a_redis_that_says_nothing_is_waited_for_once_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "PATIENCE", 0.05)

    async def silence(limit: RateLimit) -> Any:
        before = time.monotonic()
        answers = [await limit.hit("key:ada") for _ in range(100)]
        return answers, time.monotonic() - before

    with socket.create_server(("127.0.0.1", 0)) as server:
        answers, seconds = _run(f"redis://127.0.0.1:{server.getsockname()[1]}", "1/hour", silence)

    assert answers == [None] * 100
    assert 0.04 < seconds < 0.5
