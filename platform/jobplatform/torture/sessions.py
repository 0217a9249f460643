"""The injector's own ways to the servers, beside the links."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg2
import redis

from jobplatform.torture.stack import Stack


def redis_client(stack: Stack) -> "redis.Redis":
    """Redis, directly: a context manager."""
    return redis.Redis.from_url(stack.valkey.url, socket_timeout=20, socket_connect_timeout=5)


def query(url: str, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Ask Postgres, directly."""
    with closing(psycopg2.connect(url, connect_timeout=5)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, list(values) or None)
            return list(cursor.fetchall()) if cursor.description else []


def backends(stack: Stack) -> list[int]:
    """The pids of the sessions of the processes under torture; none where Postgres does not answer."""
    try:
        rows = query(
            stack.database_url,
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = 'jobplatform' AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
    except psycopg2.OperationalError:
        return []
    return sorted(pid for (pid,) in rows)


def terminate(stack: Stack, pids: Sequence[int]) -> None:
    """End sessions."""
    try:
        query(stack.database_url, "SELECT pg_terminate_backend(p) FROM unnest(%s) AS p", [list(pids)])
    except psycopg2.OperationalError:
        return
