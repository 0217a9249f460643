"""The traceback that most jobs of one failure have."""

import json
from datetime import datetime

from jobplatform.queries.likeness import Likeness
from jobplatform.queries.tracebacks import commonest_traceback
from jobplatform.states import Event
from tests.services.journal import claimed_job, read, settle

FAILURE = Likeness("error", "OSError", "at <n>")


def trace(line: int, said: str) -> str:
    return f'Traceback (most recent call last):\n  File "actors/x.py", line {line}, in x\n    x()\nOSError: {said}\n'


def failed_job(message: str, traceback: str | None) -> str:
    claim = claimed_job()
    error = {"kind": "error", "type": "OSError", "message": message, "traceback": traceback}
    settle(claim, Event.FAILED, error=json.dumps(error))
    return claim.job_id


def test_it_is_the_one_of_most_jobs_as_the_newest_of_them_has_it(journal_url: str) -> None:
    failed_job("at 1", trace(7, "at 1"))
    second = failed_job("at 2", trace(7, "at 2"))
    failed_job("at 3", trace(9, "at 3"))
    failed_job("elsewhere", trace(9, "elsewhere"))
    failed_job("at 4", None)

    found = commonest_traceback("PROBE", FAILURE, None)

    assert (found.traceback, found.job_id) == (trace(7, "at 2"), second)
    assert (found.found, found.compared) == (2, 4)
    ((version,),) = read(journal_url, "SELECT version FROM workers LIMIT 1")
    assert found.versions == [version]


def test_only_jobs_of_the_time_that_is_meant_are_compared(journal_url: str) -> None:
    failed_job("at 1", trace(7, "at 1"))
    ((since,),) = read(journal_url, "SELECT max(finished_at) FROM jobs")
    failed_job("at 2", trace(9, "at 2"))
    assert isinstance(since, datetime)

    found = commonest_traceback("PROBE", FAILURE, since)

    assert (found.traceback, found.compared) == (trace(9, "at 2"), 1)


def test_where_no_job_has_one_there_is_none(journal_url: str) -> None:
    failed_job("at 1", None)

    versions = [version for (version,) in read(journal_url, "SELECT DISTINCT version FROM workers ORDER BY version")]

    assert commonest_traceback("PROBE", FAILURE, None) == (None, None, 0, 1, versions)
    assert commonest_traceback("OTHER", FAILURE, None) == (None, None, 0, 0, [])
