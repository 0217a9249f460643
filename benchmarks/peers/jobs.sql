-- The table of every peer: one row for each job, with the columns that matter.

CREATE TABLE jobs (
    id          uuid PRIMARY KEY,
    type        text NOT NULL,
    status      text NOT NULL,
    payload     json NOT NULL,
    result      json,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz
);

CREATE INDEX jobs_by_status ON jobs (status, created_at);
