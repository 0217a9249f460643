"""Ids of jobs and of deliveries."""

import random
import time
import uuid

from jobplatform.hints import message_of
from jobplatform.job_id import new_job_id
from jobplatform.journal import Hint


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = uuid.UUID(new_job_id())

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert abs((made.int >> 80) / 1000 - time.time()) < 5


def test_later_ids_sort_after_earlier_ones() -> None:
    ids = []
    for _ in range(5):
        ids.append(new_job_id())
        began = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == began:
            pass

    assert ids == sorted(ids)


def test_ids_do_not_follow_from_a_seed() -> None:
    jobs, deliveries = set(), set()
    for _ in range(3):
        random.seed(0)
        jobs.add(new_job_id())
        delivery, _ = message_of(Hint("x", "PROBE", "default", 1))
        deliveries.add(delivery)

    assert (len(jobs), len(deliveries)) == (3, 3)


def test_ten_thousand_ids_are_ten_thousand() -> None:
    assert len({new_job_id() for _ in range(10_000)}) == 10_000
