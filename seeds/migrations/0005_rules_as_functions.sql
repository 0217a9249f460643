-- The rules of jobs and transitions become functions, which cost a statement a third of what the constraints did.

BEGIN;

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

ALTER TABLE jobs
    DROP CONSTRAINT jobs_status_known, DROP CONSTRAINT jobs_priority_known, DROP CONSTRAINT jobs_on_crash_known,
    DROP CONSTRAINT jobs_final_when_finished, DROP CONSTRAINT jobs_running_when_held,
    DROP CONSTRAINT jobs_due_when_waiting, DROP CONSTRAINT jobs_dispatched_when_queued,
    DROP CONSTRAINT jobs_started_when_attempted, DROP CONSTRAINT jobs_counters,
    DROP CONSTRAINT jobs_result_when_completed, DROP CONSTRAINT jobs_error_when_failed,
    DROP CONSTRAINT jobs_no_error_when_completed, DROP CONSTRAINT jobs_cancel_requested_of_running,
    ADD CONSTRAINT jobs_legal CHECK (job_is_legal(
        status, priority, queue, attempts, retries, crashes, resends, on_crash, result, error, cancel_requested, worker,
        token, run_at, dispatched_at, started_at, finished_at)) NOT VALID;

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

ALTER TABLE transitions
    DROP CONSTRAINT transitions_legal,
    ADD CONSTRAINT transitions_legal CHECK (transition_is_legal(event, from_status, to_status)) NOT VALID;

INSERT INTO schema_migrations (version) VALUES (5);

COMMIT;

-- All rows are looked at while others write. They obey these rules, as they obeyed the constraints: if this is cut off,
-- nothing is missing but Postgres' word for it.
ALTER TABLE jobs VALIDATE CONSTRAINT jobs_legal;
ALTER TABLE transitions VALIDATE CONSTRAINT transitions_legal;
