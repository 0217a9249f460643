"""The tasks, and signal handlers that record what becomes of them: one connection to Postgres for each process."""

import json
import os
from typing import Any

import psycopg
from celery import Celery, Task
from celery.signals import (
    task_failure,
    task_prerun,
    task_success,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
)

app = Celery("tasks", broker=os.environ["REDIS_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,  # the table has it
    worker_prefetch_multiplier=64,  # as Celery's guide says for many short tasks
)

_connection: psycopg.Connection[Any] | None = None


@app.task(name="NOTHING")
def nothing(n: int, text: str) -> None:
    """Do nothing."""


@worker_process_init.connect
def _connect(**_: Any) -> None:
    global _connection
    _connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


@worker_process_shutdown.connect
def _disconnect(**_: Any) -> None:
    if _connection is not None:
        _connection.close()


@task_prerun.connect
def _started(task_id: str, **_: Any) -> None:
    _record("UPDATE jobs SET status = 'running', started_at = now() WHERE id = %s", task_id)


@task_success.connect
def _completed(sender: Task, result: Any, **_: Any) -> None:
    _record(
        "UPDATE jobs SET status = 'completed', result = %s, finished_at = now() WHERE id = %s",
        json.dumps(result),
        sender.request.id,
    )


@task_failure.connect
def _failed(task_id: str, exception: BaseException, **_: Any) -> None:
    _record(
        "UPDATE jobs SET status = 'failed', error = %s, finished_at = now() WHERE id = %s", repr(exception), task_id
    )


@worker_ready.connect
def _say_so(**_: Any) -> None:
    print("worker ready", flush=True)


def _record(statement: str, *values: Any) -> None:
    assert _connection is not None
    _connection.execute(statement, values)
