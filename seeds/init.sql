-- The whole schema, as one file: what `python -m jobplatform migrate` applies to an empty database, and what a
-- Postgres container runs by itself. It always equals the sum of seeds/migrations/; a test holds the two together.

BEGIN;

-- The rules of a job's row. They are functions and no plain constraints, as Postgres reads and prepares the whole text of
-- a constraint for each statement that writes (docs/decisions/0051).
CREATE FUNCTION job_is_legal(
    status text, priority text, queue text, attempts integer, retries integer, crashes integer, resends integer,
    on_crash text, result json, error json, cancel_requested boolean, worker bigint, token uuid, run_at timestamptz,
    dispatched_at timestamptz, started_at timestamptz, finished_at timestamptz
) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN status IN ('scheduled', 'queued', 'running', 'retrying', 'completed', 'failed', 'cancelled')
        AND priority IN ('high', 'default') AND queue IN ('high', 'default')
        AND on_crash IN ('retry', 'fail')
        -- final when finished
        AND (status IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)
        -- running when held
        AND (status = 'running') = (worker IS NOT NULL) AND (status = 'running') = (token IS NOT NULL)
        -- due when it waits for a time, dispatched when it waits for a worker
        AND (status NOT IN ('scheduled', 'retrying') OR run_at IS NOT NULL)
        AND (status <> 'queued' OR dispatched_at IS NOT NULL)
        -- started when attempted, and no more errors and deaths than attempts
        AND (attempts > 0) = (started_at IS NOT NULL)
        AND retries >= 0 AND crashes >= 0 AND resends >= 0 AND retries + crashes <= attempts
        -- a result when completed, an error when failed, and none when completed
        AND (result IS NULL OR status = 'completed')
        AND (status <> 'failed' OR error IS NOT NULL) AND (status <> 'completed' OR error IS NULL)
        -- asked to stop while it ran
        AND (NOT cancel_requested OR status IN ('running', 'completed', 'failed', 'cancelled'));
END $$;

-- One row per job: where it is now. What happened to it before is in transitions.
CREATE TABLE jobs (
    id               uuid        PRIMARY KEY,          -- the Dramatiq message_id
    type             text        NOT NULL,
    status           text        NOT NULL,
    priority         text        NOT NULL,
    queue            text        NOT NULL,
    attempts         integer     NOT NULL DEFAULT 0,   -- claims so far
    retries          integer     NOT NULL DEFAULT 0,   -- errors so far that led to another attempt
    crashes          integer     NOT NULL DEFAULT 0,   -- workers that died running it
    resends          integer     NOT NULL DEFAULT 0,   -- hints sent again since it was last queued
    options          json        NOT NULL DEFAULT '{}',-- Dramatiq options of this one job: max_retries, min_backoff, ...
    on_crash         text        NOT NULL DEFAULT 'retry', -- what its actor wants done when its worker dies
    payload          json        NOT NULL,             -- json, not jsonb: the text as it was sent, keys in their order
    result           json,
    error            json,
    progress         json,
    cancel_requested boolean     NOT NULL DEFAULT false,
    worker           bigint,                           -- who runs it: workers.id
    token            uuid,                             -- under which claim it runs
    run_at           timestamptz,                      -- when it is, or was last, due
    dispatched_at    timestamptz,                      -- when it last became ready, which its hint in Redis repeats
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    started_at       timestamptz,                      -- of the latest attempt
    finished_at      timestamptz,
    tags             text[]      NOT NULL DEFAULT '{}',
    unique_key       text,                             -- once among the unfinished jobs of its type

    CONSTRAINT jobs_legal CHECK (job_is_legal(
        status, priority, queue, attempts, retries, crashes, resends, on_crash, result, error, cancel_requested, worker,
        token, run_at, dispatched_at, started_at, finished_at))
) WITH (fillfactor = 70);

-- What the keeper releases: due first.
CREATE INDEX jobs_due ON jobs (run_at) WHERE status IN ('scheduled', 'retrying');
-- What the keeper sends again: the longest dispatched of a queue first.
CREATE INDEX jobs_waiting ON jobs (queue, dispatched_at) WHERE status = 'queued';
-- What a worker holds.
CREATE INDEX jobs_held ON jobs (worker) WHERE status = 'running';
-- Among the unfinished jobs of a type a unique key comes once.
CREATE UNIQUE INDEX jobs_unique ON jobs (type, unique_key)
    WHERE unique_key IS NOT NULL AND status IN ('scheduled', 'queued', 'running', 'retrying');
-- What lists walk along: all jobs, those of a status, those of a type.
CREATE INDEX jobs_by_time ON jobs (created_at, id);
CREATE INDEX jobs_by_status ON jobs (status, created_at, id);
CREATE INDEX jobs_by_type ON jobs (type, created_at, id);

-- Which events lead from where to where.
CREATE FUNCTION transition_is_legal(event text, from_status text, to_status text)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE event
        WHEN 'enqueued'         THEN from_status IS NULL AND to_status = 'queued'
        WHEN 'scheduled'        THEN from_status IS NULL AND to_status = 'scheduled'
        WHEN 'released'         THEN from_status IN ('scheduled', 'retrying') AND to_status = 'queued'
        WHEN 'started'          THEN from_status = 'queued' AND to_status = 'running'
        WHEN 'retry_planned'    THEN from_status = 'running' AND to_status = 'retrying'
        WHEN 'completed'        THEN from_status = 'running' AND to_status = 'completed'
        WHEN 'failed'           THEN from_status = 'running' AND to_status = 'failed'
        WHEN 'rescued'          THEN from_status = 'running' AND to_status = 'queued'
        WHEN 'interrupted'      THEN from_status = 'running' AND to_status = 'queued'
        WHEN 'resent'           THEN from_status = 'queued' AND to_status = 'queued'
        WHEN 'fenced'           THEN from_status = to_status AND to_status IN
            ('scheduled', 'queued', 'running', 'retrying', 'completed', 'failed', 'cancelled')
        WHEN 'cancel_requested' THEN from_status = 'running' AND to_status = 'running'
        WHEN 'cancelled'        THEN from_status IN ('scheduled', 'queued', 'retrying', 'running')
                                     AND to_status = 'cancelled'
        WHEN 'resubmitted'      THEN from_status IN ('failed', 'cancelled') AND to_status = 'queued'
        ELSE false
    END IS TRUE;
END $$;

-- One row per event in a job's life. Only ever added to.
CREATE TABLE transitions (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id      uuid        NOT NULL,
    event       text        NOT NULL,
    from_status text,                                  -- null: the job did not exist before
    to_status   text        NOT NULL,                  -- equal to from_status where the event changes nothing
    attempt     integer     NOT NULL,                  -- 0 before the first claim
    worker      bigint,                                -- workers.id, where a worker's attempt is concerned
    who         text,                                  -- the person or program that asked for it
    at          timestamptz NOT NULL,
    token       uuid,                                  -- the claim that began or ended an attempt, or a person's act
    detail      json,
    xid         xid8        NOT NULL DEFAULT pg_current_xact_id(),
    request_id  text,                                  -- the HTTP request in which it was asked for

    CONSTRAINT transitions_legal CHECK (transition_is_legal(event, from_status, to_status))
);

CREATE INDEX transitions_of_job ON transitions (job_id, id);
-- An attempt begins once and ends once.
CREATE UNIQUE INDEX transitions_start ON transitions (job_id, attempt) WHERE event = 'started';
CREATE UNIQUE INDEX transitions_end ON transitions (job_id, attempt)
    WHERE from_status = 'running' AND to_status <> 'running';
-- The order in which transitions become visible, which is not that of their ids: what streams walk along.
CREATE INDEX transitions_in_order ON transitions (xid, id);

-- One row per worker process, kept when it has ended: the history names it. Ids are never used twice.
CREATE TABLE workers (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host         text        NOT NULL,
    pid          integer     NOT NULL,
    version      text        NOT NULL,
    broker       text        NOT NULL,                 -- under which name it holds deliveries in Redis
    queues       text[]      NOT NULL,
    types        text[]      NOT NULL,
    threads      integer     NOT NULL,
    started_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    stopping_at  timestamptz,
    ended_at     timestamptz,
    died         boolean     NOT NULL DEFAULT false,   -- declared dead by a keeper, not signed off by itself
    memory       bigint,                               -- bytes resident at the last beat
    peak_memory  bigint                                -- the most it ever had
);

CREATE INDEX workers_alive ON workers (last_seen_at) WHERE ended_at IS NULL;

-- One row per keeper: whether it looks, and what it has done. What it did to a job is among the job's transitions.
CREATE TABLE keepers (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host       text        NOT NULL,
    pid        integer     NOT NULL,
    started_at timestamptz NOT NULL,
    ticked_at  timestamptz NOT NULL,                   -- when it last looked
    released   bigint      NOT NULL DEFAULT 0,         -- jobs so far
    rescued    bigint      NOT NULL DEFAULT 0,
    resent     bigint      NOT NULL DEFAULT 0,
    ended_at   timestamptz
);

-- What a job wrote with current_job().log().
CREATE TABLE job_logs (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id  uuid        NOT NULL,
    attempt integer     NOT NULL,
    at      timestamptz NOT NULL,
    text    text        NOT NULL
);

CREATE INDEX job_logs_of_job ON job_logs (job_id, id);

-- What lists of a tag's jobs walk along.
CREATE TABLE job_tags (
    tag        text        NOT NULL,
    created_at timestamptz NOT NULL,                   -- of the job
    job_id     uuid        NOT NULL,

    PRIMARY KEY (tag, created_at, job_id)
);

-- Payloads that were replaced when their job was submitted again. The newest version is the job's own.
CREATE TABLE payload_versions (
    job_id      uuid        NOT NULL,
    version     integer     NOT NULL,                  -- from 1
    payload     json        NOT NULL,
    replaced_at timestamptz NOT NULL,
    who         text,

    PRIMARY KEY (job_id, version)
);

-- Which submissions were accepted under which key: a repeated one gets the same jobs.
CREATE TABLE idempotency_keys (
    who         text        NOT NULL,
    key         text        NOT NULL,
    fingerprint text        NOT NULL,                  -- of the request
    job_ids     uuid[]      NOT NULL,
    expires_at  timestamptz NOT NULL,

    PRIMARY KEY (who, key)
);

CREATE INDEX idempotency_keys_expired ON idempotency_keys (expires_at);

-- The queues that are paused: nothing of them is started.
CREATE TABLE paused_queues (
    queue     text        PRIMARY KEY,
    paused_at timestamptz NOT NULL,
    who       text,
    reason    text,

    CONSTRAINT paused_queues_known CHECK (queue IN ('high', 'default'))
);

-- What people did to many jobs at once, or to a queue.
CREATE TABLE actions (
    id          uuid        PRIMARY KEY,
    kind        text        NOT NULL,
    filter      json        NOT NULL,                  -- which jobs, or which queue
    reason      text,
    who         text,
    request_id  text,
    matched     bigint      NOT NULL,                  -- jobs that fitted when it was asked for
    done        bigint      NOT NULL DEFAULT 0,        -- jobs looked at so far
    changed     bigint      NOT NULL DEFAULT 0,        -- of these, those to which something happened
    position    json,                                  -- where the next batch begins
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    finished_at timestamptz,
    error       text,                                  -- why it ended before its end; null: it did not

    CONSTRAINT actions_known CHECK (kind IN ('cancel', 'retry', 'pause', 'resume'))
);

CREATE INDEX actions_unfinished ON actions (created_at) WHERE finished_at IS NULL;
CREATE INDEX actions_by_time ON actions (created_at, id);

-- What the processes of a deployment sign with. Whoever needs one first makes it.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value text NOT NULL                                -- hexadecimal
);

-- What has happened, added up as it happens: one row for each span of time, type and queue in which an attempt or a job ended.
CREATE TABLE tallies (
    span          integer     NOT NULL,                -- minutes: 1 or 15
    type          text        NOT NULL,                -- '' for all types together
    at            timestamptz NOT NULL,                -- when the span began
    queue         text        NOT NULL,
    completed     integer     NOT NULL,                -- jobs that became final
    failed        integer     NOT NULL,
    cancelled     integer     NOT NULL,
    retry_planned integer     NOT NULL,                -- attempts after which the job went on
    rescued       integer     NOT NULL,
    interrupted   integer     NOT NULL,
    waits         integer[]   NOT NULL,                -- attempts by how long the job had been ready: a histogram
    runs          integer[]   NOT NULL,                -- attempts by how long they ran

    PRIMARY KEY (span, type, at, queue)
) WITH (fillfactor = 50);

-- The last transition that has been added up. Whoever adds up locks this one row.
CREATE TABLE tally_position (
    single     boolean     PRIMARY KEY DEFAULT true,
    xid        xid8        NOT NULL,
    id         bigint      NOT NULL,
    tallied_at timestamptz NOT NULL,                   -- when there was last nothing left to add up

    CONSTRAINT tally_position_once CHECK (single)
);

INSERT INTO tally_position (xid, id, tallied_at) VALUES ('0', 0, '-infinity');

-- The migrations that a database contains: this file has them all.
CREATE TABLE schema_migrations (
    version    integer     PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO schema_migrations (version) VALUES (1), (2), (3), (4), (5);

COMMIT;
