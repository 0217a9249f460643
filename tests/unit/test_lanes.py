"""A job's transitions as lanes."""

from api.dashboard.picture.lanes import Kind, Lane, lanes
from tests.services.lives import BEGIN, ERROR, TROUBLED, at, history


def spans(lane: Lane) -> list[tuple[Kind, float, float]]:
    return [
        (span.kind, (span.begins - BEGIN).total_seconds(), (span.ends - BEGIN).total_seconds()) for span in lane.spans
    ]


def events(lane: Lane) -> list[str]:
    return [mark.event for mark in lane.marks]


def test_a_lane_has_the_waiting_before_an_attempt_its_run_and_its_outcome() -> None:
    first, second, third, fourth = lanes(TROUBLED, at(100))

    assert spans(first) == [(Kind.QUEUED, 0, 1), (Kind.RUNNING, 1, 2)]
    assert spans(second) == [(Kind.RETRYING, 2, 4), (Kind.QUEUED, 4, 4.5), (Kind.RUNNING, 4.5, 6)]
    assert spans(fourth) == [(Kind.QUEUED, 13, 13.5), (Kind.RUNNING, 13.5, 15)]
    assert [events(lane) for lane in (first, second, fourth)] == [["retry_planned"], ["retry_planned"], ["completed"]]
    assert [lane.attempt for lane in (first, second, third, fourth)] == [1, 2, 3, 4]


def test_a_killed_attempt_ran_until_its_worker_was_last_heard_of() -> None:
    third = lanes(TROUBLED, at(100))[2]

    assert spans(third)[-2:] == [(Kind.RUNNING, 9.5, 10.5), (Kind.SILENT, 10.5, 13)]
    assert events(third) == ["died", "rescued"]
    assert third.outcome is not None
    assert third.outcome.event == "rescued"


def test_a_worker_that_died_before_its_first_beat_left_nothing_but_silence() -> None:
    early = {"death": {"host": "one", "lastSeenAt": "2030-01-31T07:59:59Z"}}
    (lane, _) = lanes(
        history(("enqueued", "queued", 0, 0), ("started", "running", 1, 1), ("rescued", "queued", 1, 4, early)),
        at(5),
    )

    assert spans(lane) == [(Kind.QUEUED, 0, 1), (Kind.SILENT, 1, 4)]


def test_what_has_no_end_yet_ends_now() -> None:
    (lane,) = lanes(history(("enqueued", "queued", 0, 0), ("started", "running", 1, 1)), at(3))

    assert spans(lane) == [(Kind.QUEUED, 0, 1), (Kind.RUNNING, 1, 3)]
    assert [span.live for span in lane.spans] == [False, True]
    assert lane.outcome is None


def test_what_lies_ahead_is_planned() -> None:
    (lane,) = lanes(history(("scheduled", "scheduled", 0, 0)), at(10), at(60))

    assert spans(lane) == [(Kind.SCHEDULED, 0, 10), (Kind.PLANNED, 10, 60)]
    assert not lane.began


def test_an_attempt_that_is_planned_has_a_lane_already() -> None:
    planned = history(
        ("enqueued", "queued", 0, 0), ("started", "running", 1, 1), ("retry_planned", "retrying", 1, 2, ERROR)
    )
    (_, second) = lanes(planned, at(3), at(7))

    assert spans(second) == [(Kind.RETRYING, 2, 3), (Kind.PLANNED, 3, 7)]
    assert second.words == "Attempt 2, not begun: has backed off for 1 s; is due in 4 s."


def test_a_resubmitted_job_was_idle_between_its_end_and_that() -> None:
    first, second = lanes(
        history(
            ("enqueued", "queued", 0, 0),
            ("started", "running", 1, 1),
            ("failed", "failed", 1, 2, ERROR),
            ("resubmitted", "queued", 1, 500, {"reason": "wrong column"}, "ann"),
            ("started", "running", 2, 501),
            ("completed", "completed", 2, 502),
        ),
        at(1000),
    )

    assert spans(first)[-1] == (Kind.RUNNING, 1, 2)
    assert spans(second) == [(Kind.QUEUED, 500, 501), (Kind.RUNNING, 501, 502)]
    assert second.marks[0].said == "it was resubmitted by ann: wrong column"


def test_marks_lie_within_the_attempt_that_they_are_about() -> None:
    first, second = lanes(
        history(
            ("enqueued", "queued", 0, 0),
            ("resent", "queued", 0, 1, {"resends": 1}),
            ("started", "running", 1, 2),
            ("interrupted", "queued", 1, 3),
            ("started", "running", 2, 4),
            ("fenced", "running", 1, 5, {"outcome": "completed"}),
            ("cancel_requested", "running", 2, 6, None, "ann"),
            ("cancelled", "cancelled", 2, 7),
        ),
        at(1000),
    )

    assert events(first) == ["resent", "interrupted", "fenced"]
    assert events(second) == ["cancel_requested", "cancelled"]
    assert spans(first)[0] == (Kind.QUEUED, 0, 2)
    assert spans(second)[-1] == (Kind.RUNNING, 4, 7)
    assert first.marks[2].said == "a late outcome (completed) was refused"


def test_a_job_that_is_cancelled_while_it_waits_has_a_lane_that_did_not_begin() -> None:
    (lane,) = lanes(
        history(("scheduled", "scheduled", 0, 0), ("cancelled", "cancelled", 0, 5, {"reason": "No."}, "ann")), at(9)
    )

    assert spans(lane) == [(Kind.SCHEDULED, 0, 5)]
    assert lane.words == "Attempt 1, not begun: was scheduled 5 s; it was cancelled by ann: No."


def test_the_first_line_of_an_error_says_why() -> None:
    assert lanes(TROUBLED, at(100))[0].words == (
        "Attempt 1: waited 1 s; ran 1 s; it failed: Trouble: attempt 1, and another attempt was planned."
    )
