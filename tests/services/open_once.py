"""Opening jobs under keys, as tests ask for it."""

import threading
from typing import Any

from jobplatform import journal
from jobplatform.journal import Accepted, IdempotencyKey, NewJob, OpenOnce
from tests.services.journal import connected, new_job, read

DAY = 86_400_000


def key(name: str = "a-key", who: str = "ada", fingerprint: str = "same", ttl: int = DAY) -> IdempotencyKey:
    return IdempotencyKey(who, name, fingerprint, ttl)


def ask(*jobs: NewJob, under: IdempotencyKey | None = None) -> Any:
    (answer,), _ = journal.commit([OpenOnce(jobs, under)])
    return answer


def unique(on_conflict: str = "reject", **given: Any) -> NewJob:
    return new_job(unique_key="the one", on_conflict=on_conflict, **given)


def ids(answer: Any) -> list[str]:
    assert isinstance(answer, Accepted), answer
    return [job.id for job in answer.jobs]


def reason(url: str, job_id: str) -> list[tuple[Any, ...]]:
    """Of a cancelled job: who, why, and in which request."""
    cancelled = "SELECT who, detail->>'reason', request_id FROM transitions WHERE event = 'cancelled' AND job_id = %s"
    return read(url, cancelled, [job_id])


def number_of_jobs(url: str) -> int:
    ((number,),) = read(url, "SELECT count(*) FROM jobs")
    return int(number)


def in_threads(url: str, number: int, asked: Any) -> list[Any]:
    """Call a function in so many threads, each with its own connection, all at one moment."""
    ready = threading.Barrier(number)
    answers: list[Any] = []

    def run(place: int) -> None:
        with connected(url):
            ready.wait(30)
            answers.append(asked(place))

    threads = [threading.Thread(target=run, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == number, "none died"
    return answers


# Idempotency keys
