"""Postgres and Redis that are away, or have forgotten."""

import redis

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.torture.conftest import StartPlatform


def test_all_jobs_finish_after_redis_has_forgotten_them(start_platform: StartPlatform, redis_url: str) -> None:
    platform = start_platform(groups=1, RESEND_GRACE="1000")
    queued = [platform.submit("PROBE_SLEEP", seconds=0.3) for _ in range(200)]
    flaky = [platform.submit("PROBE_FLAKY", priority="high") for _ in range(20)]
    platform.until(lambda: platform.count("retrying"), 20, "some wait for their retry")

    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("dramatiq:default") > 0
        client.flushall()
    platform.wait_for("completed", *flaky, *queued, seconds=60)

    assert any("resent" in platform.events(job_id) for job_id in queued)


def test_jobs_are_accepted_within_a_second_while_redis_is_away_and_all_complete(
    start_platform: StartPlatform, redis_server: Valkey
) -> None:
    """P26."""
    platform = start_platform(RESEND_GRACE="1000")
    before = platform.submit("PROBE_LONG", seconds=2)

    redis_server.stop()
    answers = [platform.post("PROBE_INSTANT") for _ in range(20)]
    redis_server.start()

    assert [answer.status if answer else None for answer, _ in answers] == [201] * 20
    assert max(took for _, took in answers) < 1
    accepted = [answer.content["jobId"] for answer, _ in answers if answer]
    platform.wait_for("completed", before, *accepted, seconds=60)


def test_submits_are_refused_within_two_seconds_while_postgres_is_away_and_no_outcome_is_lost(
    start_platform: StartPlatform, postgres_server: Postgres
) -> None:
    platform = start_platform()
    jobs = [platform.submit("PROBE_SLEEP", seconds=2) for _ in range(8)]
    platform.until(lambda: all(platform.row(job)["status"] == "running" for job in jobs), 20, "all run")

    postgres_server.stop()
    answers = [platform.post("PROBE_INSTANT") for _ in range(3)]
    platform.until(lambda: all(platform.effects(job) for job in jobs), 20, "the effects of all")
    postgres_server.start()

    assert [answer.status if answer else None for answer, _ in answers] == [503] * 3
    assert max(took for _, took in answers) < 2
    platform.wait_for("completed", *jobs, seconds=60)
    assert [platform.effects(job) for job in jobs] == [[1]] * 8
    assert [platform.row(job)["attempts"] for job in jobs] == [1] * 8
