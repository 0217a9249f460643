"""Verdicts: what an attempt's end becomes, in the order of P11."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from jobplatform.attempt import Attempt, Cancelled, Strike
from jobplatform.settings import Settings
from jobplatform.states import Event
from jobplatform.verdict import Verdict, verdict_on, verdict_on_skipped

SETTINGS = Settings(max_retries=3, min_backoff=1_000, max_backoff=4_000)


def verdict(
    *,
    struck_by: Strike | None = None,
    exception: BaseException | None = None,
    result: Any = None,
    failed: bool = False,
    retry_delay: int | None = None,
    retries: int = 0,
    on_crash: str = "retry",
    actor: dict[str, Any] | None = None,
    job: dict[str, Any] | None = None,
) -> Verdict:
    attempt = Attempt(
        job_id="job",
        type="PROBE",
        queue="default",
        number=1,
        token="t",
        worker=1,
        retries=retries,
        on_crash=on_crash,
    )
    attempt.struck_by, attempt.retry_delay = struck_by, retry_delay
    message: Any = SimpleNamespace(failed=failed, actor_name="PROBE", options=job or {})
    broker: Any = SimpleNamespace(get_actor=lambda _: SimpleNamespace(options=actor or {}))
    return verdict_on(attempt, message, broker, SETTINGS, result=result, exception=exception)


def kind(given: Verdict) -> Any:
    assert given.error is not None
    return msgspec.json.decode(given.error)["kind"]


def test_an_attempt_that_returned_is_completed_with_what_it_returned() -> None:
    assert verdict(result={"n": 1}) == Verdict(Event.COMPLETED, result='{"n":1}')
    assert verdict() == Verdict(Event.COMPLETED)


def test_what_cannot_be_stored_is_a_failure() -> None:
    given = verdict(result=object())

    assert (given.event, kind(given), given.result) == (Event.FAILED, "unstorable", None)


def test_p11_a_cancel_that_was_obeyed_comes_before_everything() -> None:
    """`Retries` has failed the message meanwhile, or has planned another attempt."""
    given = verdict(struck_by=Cancelled, exception=Cancelled(), failed=True, retry_delay=5)

    assert given == Verdict(Event.CANCELLED)


def test_p11_a_cancel_that_was_not_obeyed_changes_nothing() -> None:
    assert verdict(struck_by=Cancelled, result=1).event is Event.COMPLETED
    assert verdict(struck_by=Cancelled, exception=ValueError(), retry_delay=5).event is Event.RETRY_PLANNED


def test_p11_a_cancel_that_nobody_asked_for_is_an_error() -> None:
    """An actor raised it by itself."""
    given = verdict(exception=Cancelled(), failed=True)

    assert (given.event, kind(given)) == (Event.FAILED, "error")


def test_p11_a_shutdown_spends_no_retry_though_retries_has_counted_one() -> None:
    for given in ({"retry_delay": 1_000}, {"failed": True}, {}, {"retries": 3}):
        assert verdict(exception=Shutdown(), **given) == Verdict(Event.INTERRUPTED)


def test_p21_a_shutdown_fails_what_must_not_run_twice_as_it_was_when_it_was_accepted() -> None:
    given = verdict(exception=Shutdown(), retry_delay=1_000, on_crash="fail", actor={"on_crash": "retry"})

    assert (given.event, kind(given), given.delay_ms) == (Event.FAILED, "crashed", None)


def test_p21_an_actor_that_may_run_twice_may_also_say_so() -> None:
    assert verdict(exception=Shutdown(), on_crash="retry", actor={"on_crash": "fail"}) == Verdict(Event.INTERRUPTED)


def test_a_shutdown_that_the_actor_swallowed_is_no_end() -> None:
    assert verdict(struck_by=Shutdown, result=1, on_crash="fail").event is Event.COMPLETED


def test_p11_a_failed_message_comes_before_a_planned_retry() -> None:
    given = verdict(exception=ValueError("no"), failed=True, retry_delay=5)

    assert (given.event, kind(given)) == (Event.FAILED, "error")


def test_p11_a_message_that_a_middleware_failed_without_an_exception_says_so() -> None:
    given = verdict(failed=True, result=1)

    assert (given.event, kind(given), given.result) == (Event.FAILED, "skipped", None)


@pytest.mark.parametrize("delay", [0, 1, 60_000])
def test_p11_a_noted_delay_is_a_planned_retry_a_delay_of_nothing_too(delay: int) -> None:
    given = verdict(exception=ValueError("again"), retry_delay=delay)

    assert (given.event, given.delay_ms, kind(given)) == (Event.RETRY_PLANNED, delay, "error")


def test_p11_a_retry_that_was_asked_for_without_an_error_has_one() -> None:
    given = verdict(retry_delay=0)

    assert (given.event, kind(given)) == (Event.RETRY_PLANNED, "error")


def test_a_time_limit_is_an_error_of_its_own_kind() -> None:
    assert kind(verdict(exception=TimeLimitExceeded(), failed=True)) == "time_limit"
    assert kind(verdict(exception=TimeLimitExceeded(), retry_delay=5)) == "time_limit"


@pytest.mark.parametrize(
    ("retries", "actor", "job", "again"),
    [
        (0, {}, {}, True),
        (2, {}, {}, True),
        (3, {}, {}, False),
        (1, {"max_retries": 1}, {}, False),
        (1, {"max_retries": 1}, {"max_retries": 2}, True),
        (0, {"max_retries": 5}, {"max_retries": 0}, False),
        (1_000, {"max_retries": None}, {}, True),
    ],
)
def test_p11_with_neither_the_policy_decides_the_jobs_own_before_the_actors_before_the_settings(
    retries: int, actor: dict[str, Any], job: dict[str, Any], again: bool
) -> None:
    given = verdict(exception=ValueError(), retries=retries, actor=actor, job=job)

    assert given.event is (Event.RETRY_PLANNED if again else Event.FAILED)
    assert (given.delay_ms is not None) == again


@pytest.mark.parametrize("actor", [{"max_retries": "3"}, {"min_backoff": "1s"}])
def test_a_verdict_that_cannot_be_reached_is_a_failure_that_shows_both_errors(actor: dict[str, Any]) -> None:
    try:
        raise ValueError("of the actor")
    except ValueError as error:
        given = verdict(exception=error, actor=actor)

    assert (given.event, kind(given)) == (Event.FAILED, "error")
    assert given.error is not None
    assert "TypeError" in given.error
    assert "ValueError: of the actor" in given.error


def test_p6_a_lack_of_memory_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("jobplatform.verdict.result_text", no_room)

    with pytest.raises(MemoryError):
        verdict(result=1)


@pytest.mark.parametrize(("retries", "most"), [(0, 2_000), (1, 4_000), (2, 4_000)])
def test_the_policys_pause_grows_with_the_retries_up_to_its_limit(retries: int, most: int) -> None:
    pauses = [verdict(exception=ValueError(), retries=retries).delay_ms for _ in range(50)]

    assert all(pause is not None and most / 2 <= pause <= most for pause in pauses)


@pytest.mark.parametrize(("failed", "expected"), [(True, "expired"), (False, "skipped")])
def test_p10_an_attempt_that_another_middleware_skipped_is_failed(failed: bool, expected: str) -> None:
    message: Any = SimpleNamespace(failed=failed)

    given = verdict_on_skipped(message)

    assert (given.event, kind(given)) == (Event.FAILED, expected)
