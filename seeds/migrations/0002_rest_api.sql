-- What the REST API asks of a job beside its life: tags, unique keys, idempotency keys, versions of its payload, bulk
-- actions, paused queues, the request behind each transition, and indexes for the lists.

BEGIN;

ALTER TABLE jobs ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN unique_key text;

-- Among the unfinished jobs of a type a unique key comes once.
CREATE UNIQUE INDEX jobs_unique ON jobs (type, unique_key)
    WHERE unique_key IS NOT NULL AND status IN ('scheduled', 'queued', 'running', 'retrying');
-- What lists walk along: all jobs, those of a status, those of a type.
CREATE INDEX jobs_by_time ON jobs (created_at, id);
CREATE INDEX jobs_by_status ON jobs (status, created_at, id);
CREATE INDEX jobs_by_type ON jobs (type, created_at, id);

ALTER TABLE transitions ADD COLUMN request_id text;

-- The order in which transitions become visible, which is not that of their ids: what streams walk along.
CREATE INDEX transitions_in_order ON transitions (xid, id);

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

    CONSTRAINT actions_known CHECK (kind IN ('cancel', 'retry', 'pause', 'resume'))
);

CREATE INDEX actions_unfinished ON actions (created_at) WHERE finished_at IS NULL;
CREATE INDEX actions_by_time ON actions (created_at, id);

-- What the processes of a deployment sign with. Whoever needs one first makes it.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value text NOT NULL                                -- hexadecimal
);

INSERT INTO schema_migrations (version) VALUES (2);

COMMIT;
