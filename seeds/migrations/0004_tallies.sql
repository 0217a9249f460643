-- What has happened, added up as it happens: so that a chart of days is read from some hundred rows.

BEGIN;

-- One row for each span of time, type and queue in which an attempt or a job ended.
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

INSERT INTO schema_migrations (version) VALUES (4);

COMMIT;
