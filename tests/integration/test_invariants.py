"""The check that every other test ends with finds what it is there to find."""

import pytest

from jobplatform import journal
from jobplatform.states import Event
from tests.services.invariants import assert_sound
from tests.services.journal import a_claim, claimed_job, queued_job, read, settle

_EMPTIED = "TRUNCATE jobs, transitions"


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("DELETE FROM transitions WHERE event = 'completed'", "its history ends where the row is"),
        ("UPDATE transitions SET to_status = 'failed', event = 'failed' WHERE event = 'completed'", "history ends"),
        ("DELETE FROM transitions WHERE event = 'enqueued'", "it was accepted once"),
        ("DELETE FROM transitions WHERE event = 'retry_planned'", "each transition begins where the one before ended"),
        ("UPDATE transitions SET attempt = 7 WHERE event = 'started' AND attempt = 2", "attempts are counted from 1"),
        ("UPDATE transitions SET at = at - interval '1 h' WHERE event = 'completed'", "times never go back"),
        ("UPDATE jobs SET updated_at = updated_at - interval '1 h'", "the row changed when its history did"),
        ("UPDATE jobs SET attempts = 3", "attempts are counted from 1, one for each start"),
        ("UPDATE jobs SET retries = 0", "retries are the errors"),
        ("UPDATE jobs SET cancel_requested = true", "a cancel was requested"),
        ("UPDATE jobs SET finished_at = started_at - interval '1 h'", "a finished job finished after it started"),
        ("DELETE FROM jobs", "which does not exist"),
        ("DELETE FROM transitions", "history ends"),
    ],
)
def test_a_damaged_story_is_found_and_named(journal_url: str, damage: str, rule: str) -> None:
    first = claimed_job()
    settle(first, Event.RETRY_PLANNED)
    assert len(journal.release()) == 1
    journal.commit([second := a_claim(first.job_id)])
    settle(second, attempt=2)
    assert assert_sound(journal_url) == 1

    read(journal_url, damage)

    try:
        with pytest.raises(AssertionError, match=rule):
            assert_sound(journal_url)
    finally:
        read(journal_url, _EMPTIED)


def test_a_row_that_runs_under_another_token_is_found(journal_url: str) -> None:
    claimed_job()
    queued_job()
    assert assert_sound(journal_url) == 2

    read(journal_url, "UPDATE jobs SET token = gen_random_uuid() WHERE status = 'running'")

    try:
        with pytest.raises(AssertionError, match="token of its last start"):
            assert_sound(journal_url)
    finally:
        read(journal_url, _EMPTIED)
