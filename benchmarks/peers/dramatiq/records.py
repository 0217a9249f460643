"""The jobs in Postgres, and a middleware that writes each event down as it happens: one query for each."""

import os
from datetime import UTC, datetime
from typing import Any

from dramatiq import Message, Middleware
from peewee import DateTimeField, Model, TextField, UUIDField
from playhouse.pool import PooledPostgresqlDatabase
from playhouse.postgres_ext import JSONField

database = PooledPostgresqlDatabase(os.environ["DATABASE_URL"], max_connections=32)


class Job(Model):
    id = UUIDField(primary_key=True)
    type = TextField()
    status = TextField()
    payload = JSONField()
    result = JSONField(null=True)
    error = TextField(null=True)
    created_at = DateTimeField()
    started_at = DateTimeField(null=True)
    finished_at = DateTimeField(null=True)

    class Meta:
        database = database
        table_name = "jobs"


class Record(Middleware):
    """Writes down that a job was enqueued, was started, and how it ended."""

    def before_enqueue(self, broker: Any, message: Message, delay: int | None) -> None:
        if "retries" in message.options:
            return
        with database.connection_context():
            Job.insert(
                id=message.message_id,
                type=message.actor_name,
                status="queued",
                payload=message.kwargs,
                created_at=datetime.now(UTC),
            ).execute()

    def before_process_message(self, broker: Any, message: Message) -> None:
        _change(message, status="running", started_at=datetime.now(UTC))

    def after_process_message(
        self, broker: Any, message: Message, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        if exception is None:
            _change(message, status="completed", result=result, finished_at=datetime.now(UTC))
        else:
            _change(message, status="failed", error=repr(exception), finished_at=datetime.now(UTC))


def _change(message: Message, **columns: Any) -> None:
    with database.connection_context():
        Job.update(**columns).where(Job.id == message.message_id).execute()
