"""The tables as peewee models, and the one database they belong to. The schema itself is seeds/init.sql."""

from typing import Any, Final

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    Field,
    IntegerField,
    Model,
    PostgresqlDatabase,
    TextField,
    UUIDField,
)
from playhouse.postgres_ext import ArrayField, DateTimeTZField

#: Each thread that connects gets a connection of its own. `connect_to` says where.
database: Final = PostgresqlDatabase(None)

_SESSION: Final = " ".join(
    (
        "-c synchronous_commit=on",  # an acknowledged commit is on disk, whatever the server's default (P9)
        "-c timezone=UTC",
        "-c statement_timeout=30s",
        "-c plan_cache_mode=force_generic_plan",  # what is prepared is planned once, see `prepared`
        "-c jit=off",  # where a sort cannot be avoided, `IN_ORDER` makes a plan look so dear that it would be compiled
        "-c idle_in_transaction_session_timeout=30s",  # a frozen process must not hold row locks for ever
        # Postgres notices the loss of a worker's host within about ten seconds, and frees its lock (P20).
        "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 -c tcp_user_timeout=12000",
    )
)


def connect_to(url: str) -> None:
    """Name the database of all models: a ``postgresql://`` address. Opens no connection.

    A vanished server is noticed after about ten seconds of silence, and a standby is refused (P9).
    """
    database.init(
        url,
        options=_SESSION,
        target_session_attrs="read-write",
        connect_timeout=2,
        application_name="jobplatform",
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=15_000,
    )


def roll_back() -> None:
    """Take back what the calling thread's transaction did, whatever state its connection is in."""
    try:
        database.execute_sql("ROLLBACK")
    except Exception:
        database.close()  # a connection that cannot even roll back is of no more use


class JsonTextField(Field):
    """A ``json`` column that Python sees as its text: stored as sent, and read without being parsed."""

    field_type = "JSON"


class Xid8Field(Field):
    """The id of the transaction that wrote the row."""

    field_type = "XID8"


class Table(Model):
    """The base that ties every model to the database."""

    class Meta:
        database = database


class Job(Table):
    """One request to run one actor with one payload, as it stands now."""

    id = UUIDField(primary_key=True)
    type = TextField()
    status = TextField()
    priority = TextField()
    queue = TextField()
    attempts = IntegerField()
    retries = IntegerField()
    crashes = IntegerField()
    resends = IntegerField()
    options = JsonTextField()
    on_crash = TextField()
    payload = JsonTextField()
    result = JsonTextField(null=True)
    error = JsonTextField(null=True)
    progress = JsonTextField(null=True)
    cancel_requested = BooleanField()
    worker = BigIntegerField(null=True)
    token = UUIDField(null=True)
    run_at = DateTimeTZField(null=True)
    dispatched_at = DateTimeTZField(null=True)
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()
    started_at = DateTimeTZField(null=True)
    finished_at = DateTimeTZField(null=True)
    tags = ArrayField(TextField, index=False)
    unique_key = TextField(null=True)

    class Meta:
        table_name = "jobs"


#: The status of jobs that are found by their ids, as no index has it. Postgres believes what it counted at the last
#: ANALYZE: if none was queued then, it would find the two jobs of a claim among the "one" that is queued, which may be
#: 100,000 by now, and not by their ids.
UNINDEXED_STATUS: Final = Job.status.concat("")


class Transition(Table):
    """One event in a job's life."""

    id = BigAutoField()
    job_id = UUIDField()
    event = TextField()
    from_status = TextField(null=True)
    to_status = TextField()
    attempt = IntegerField()
    worker = BigIntegerField(null=True)
    who = TextField(null=True)
    at = DateTimeTZField()
    token = UUIDField(null=True)
    detail = JsonTextField(null=True)
    xid = Xid8Field()
    request_id = TextField(null=True)

    class Meta:
        table_name = "transitions"


class Worker(Table):
    """One Dramatiq worker process."""

    id = BigAutoField()
    host = TextField()
    pid = IntegerField()
    version = TextField()
    broker = TextField()
    queues = ArrayField(TextField, index=False)
    types = ArrayField(TextField, index=False)
    threads = IntegerField()
    started_at = DateTimeTZField()
    last_seen_at = DateTimeTZField()
    stopping_at = DateTimeTZField(null=True)
    ended_at = DateTimeTZField(null=True)
    died = BooleanField()
    memory = BigIntegerField(null=True)
    peak_memory = BigIntegerField(null=True)

    class Meta:
        table_name = "workers"


class Keeper(Table):
    """One keeper, in a worker or alone."""

    id = BigAutoField()
    host = TextField()
    pid = IntegerField()
    started_at = DateTimeTZField()
    ticked_at = DateTimeTZField()
    released = BigIntegerField()
    rescued = BigIntegerField()
    resent = BigIntegerField()
    ended_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "keepers"


class JobLog(Table):
    """One line that a job logged."""

    id = BigAutoField()
    job_id = UUIDField()
    attempt = IntegerField()
    at = DateTimeTZField()
    text = TextField()

    class Meta:
        table_name = "job_logs"


class JobTag(Table):
    """A tag of a job."""

    tag = TextField()
    created_at = DateTimeTZField()
    job_id = UUIDField()

    class Meta:
        table_name = "job_tags"
        primary_key = CompositeKey("tag", "created_at", "job_id")


class PayloadVersion(Table):
    """A payload that was replaced when its job was submitted again."""

    job_id = UUIDField()
    version = IntegerField()
    payload = JsonTextField()
    replaced_at = DateTimeTZField()
    who = TextField(null=True)

    class Meta:
        table_name = "payload_versions"
        primary_key = CompositeKey("job_id", "version")


class IdempotencyKey(Table):
    """A submission that was accepted under a key."""

    who = TextField()
    key = TextField()
    fingerprint = TextField()
    job_ids = ArrayField(UUIDField, index=False)
    expires_at = DateTimeTZField()

    class Meta:
        table_name = "idempotency_keys"
        primary_key = CompositeKey("who", "key")


class PausedQueue(Table):
    """A queue of which nothing is started."""

    queue = TextField(primary_key=True)
    paused_at = DateTimeTZField()
    who = TextField(null=True)
    reason = TextField(null=True)

    class Meta:
        table_name = "paused_queues"


class Action(Table):
    """What a person did to many jobs at once, or to a queue."""

    id = UUIDField(primary_key=True)
    kind = TextField()
    filter = JsonTextField()
    reason = TextField(null=True)
    who = TextField(null=True)
    request_id = TextField(null=True)
    matched = BigIntegerField()
    done = BigIntegerField()
    changed = BigIntegerField()
    position = JsonTextField(null=True)
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()
    finished_at = DateTimeTZField(null=True)
    error = TextField(null=True)

    class Meta:
        table_name = "actions"


class Tally(Table):
    """What ended in a span of time."""

    span = IntegerField()
    type = TextField()
    at = DateTimeTZField()
    queue = TextField()
    completed = IntegerField()
    failed = IntegerField()
    cancelled = IntegerField()
    retry_planned = IntegerField()
    rescued = IntegerField()
    interrupted = IntegerField()
    waits = ArrayField(IntegerField, index=False)
    runs = ArrayField(IntegerField, index=False)

    class Meta:
        table_name = "tallies"
        primary_key = CompositeKey("span", "type", "at", "queue")


class TallyPosition(Table):
    """How far the tallies have come."""

    single = BooleanField(primary_key=True)
    xid = Xid8Field()
    id = BigIntegerField()
    tallied_at = DateTimeTZField()

    class Meta:
        table_name = "tally_position"


class Secret(Table):
    """What the processes of a deployment sign with."""

    name = TextField(primary_key=True)
    value = TextField()

    class Meta:
        table_name = "secrets"


class SchemaMigration(Table):
    """One numbered migration that the database contains."""

    version = IntegerField(primary_key=True)
    applied_at = DateTimeTZField()

    class Meta:
        table_name = "schema_migrations"


MODELS: Final[tuple[type[Any], ...]] = (
    Job,
    Transition,
    Worker,
    Keeper,
    JobLog,
    JobTag,
    PayloadVersion,
    IdempotencyKey,
    PausedQueue,
    Action,
    Tally,
    TallyPosition,
    Secret,
    SchemaMigration,
)
