"""What is read is what the journal wrote."""

from jobplatform import journal, queries
from jobplatform.journal import Claim, LogLine, Progress
from jobplatform.queries.logs import last_logs
from tests.services.journal import SUSPECT_FROM, claimed_job, outcome, queued_job, read


def test_an_event_without_a_worker_shows_none_and_an_attempt_shows_its_own(journal_url: str) -> None:
    ((number,),) = read(
        journal_url,
        "INSERT INTO workers (host, pid, version, broker, queues, types, threads, started_at, last_seen_at)"
        " VALUES ('box', 42, '1', 'none', '{default}', '{PROBE}', 1, now(), now()) RETURNING id",
    )
    job_id = queued_job()
    journal.commit([Claim(job_id, "PROBE", "3a2b7a52-9f6a-4a41-9a3f-6a2f51a3b0c4", number, SUSPECT_FROM)])

    events = queries.events([job_id])[job_id]

    assert [(event.event, event.worker) for event in events] == [("enqueued", None), ("started", f"box:42#{number}")]


def test_a_progress_that_comes_in_one_commit_with_its_outcome_is_kept(journal_url: str) -> None:
    claim = claimed_job()

    journal.commit([Progress(claim.job_id, 1, claim.token, '{"done":2,"total":2}'), outcome(claim)])

    job = queries.jobs([claim.job_id])[claim.job_id]
    assert read(journal_url, "SELECT status FROM jobs") == [("completed",)]
    assert job.progress == '{"done":2,"total":2}'


def test_statuses_are_those_of_the_jobs_that_exist(journal_url: str) -> None:  # noqa: ARG001
    queued, running = queued_job(), claimed_job().job_id

    found = queries.statuses([queued, running, "3a2b7a52-9f6a-4a41-9a3f-6a2f51a3b0c4"])

    assert found == {queued: "queued", running: "running"}


def test_the_last_lines_of_a_log_come_in_their_order_and_lead_back_to_the_first(journal_url: str) -> None:  # noqa: ARG001
    claim = claimed_job()
    journal.commit([LogLine(claim.job_id, 1 + n % 2, f"line {n}") for n in range(5)])

    last, more = last_logs(claim.job_id, None, None, 3)
    first, none_before = last_logs(claim.job_id, None, last[0].id, 3)
    of_second, _ = last_logs(claim.job_id, 2, None, 3)

    assert ([line.text for line in last], more) == (["line 2", "line 3", "line 4"], True)
    assert ([line.text for line in first], none_before) == (["line 0", "line 1"], False)
    assert [line.text for line in of_second] == ["line 1", "line 3"]
    assert last_logs("3a2b7a52-9f6a-4a41-9a3f-6a2f51a3b0c4", None, None, 3) == ([], False)
