"""The scale of a job's picture, for lives of every length."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.picture.drawing import WIDTHS, drawing
from api.dashboard.picture.duration import words
from api.dashboard.picture.lanes import lanes
from api.dashboard.picture.scale import FOLD_WIDTH, MOST_FOLDS, Scale, scale
from tests.services.lives import BEGIN, ERROR, TROUBLED, at, history


def scale_of(*told: tuple[object, ...]) -> Scale:
    return scale(lanes(history(*told), at(0)))


def once(waited: float, ran: float) -> list[tuple[object, ...]]:
    return [
        ("enqueued", "queued", 0, 0),
        ("started", "running", 1, waited),
        ("completed", "completed", 1, waited + ran),
    ]


def test_a_short_life_is_true_to_the_clock() -> None:
    found = scale_of(*once(0.05, 0.15))

    assert not found.folds
    assert [found.place(at(seconds)) for seconds in (0, 0.05, 0.1, 0.2)] == [0, 25, 50, 100]
    assert [tick.label for tick in found.ticks] == ["0", "50 ms", "100 ms", "150 ms", "200 ms"]


def test_three_days_of_waiting_are_folded_so_that_what_came_then_can_be_seen() -> None:
    found = scale_of(
        ("scheduled", "scheduled", 0, 0),
        ("released", "queued", 0, 259_200),
        ("started", "running", 1, 259_200.05),
        ("completed", "completed", 1, 259_200.2),
    )

    (fold,) = found.folds
    assert fold.duration == "3 d"
    assert (fold.left, fold.right) == (0, FOLD_WIDTH)
    assert found.place(at(259_200.05)) == pytest.approx(FOLD_WIDTH + (100 - FOLD_WIDTH) / 4, abs=0.01)
    assert [tick.label for tick in found.ticks] == ["+50 ms", "+100 ms", "+150 ms", "+200 ms"]


def test_three_days_of_running_are_not_folded() -> None:
    found = scale_of(*once(60, 259_200))

    assert not found.folds
    assert [tick.label for tick in found.ticks][-2:] == ["2 d 12 h", "3 d"]


def test_idle_times_that_take_much_of_the_width_but_not_most_are_folded_where_runs_would_vanish() -> None:
    found = scale_of(
        ("enqueued", "queued", 0, 0),
        ("started", "running", 1, 0.01),
        ("retry_planned", "retrying", 1, 0.03, ERROR),
        ("released", "queued", 1, 600),
        ("started", "running", 2, 600.01),
        ("retry_planned", "retrying", 2, 600.03, ERROR),
        ("released", "queued", 2, 1200),
        ("started", "running", 3, 1200.01),
        ("completed", "completed", 3, 1200.03),
    )

    assert [fold.duration for fold in found.folds] == ["10 min", "10 min"]


def test_the_time_between_a_failure_and_a_resubmission_may_be_folded() -> None:
    found = scale_of(
        ("enqueued", "queued", 0, 0),
        ("started", "running", 1, 1),
        ("failed", "failed", 1, 2, ERROR),
        ("resubmitted", "queued", 1, 90_000),
        ("started", "running", 2, 90_001),
        ("completed", "completed", 2, 90_002),
    )

    assert [fold.duration for fold in found.folds] == ["1 d 1 h"]


def test_a_life_without_length_can_be_drawn() -> None:
    drawn = drawing(lanes(history(("enqueued", "queued", 0, 0)), at(0)))

    assert drawn.lanes[0].spans[0].width > 0
    assert drawn.now is not None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "died", "idle"]),
            st.floats(0, 1e6, allow_subnormal=False),
            st.floats(0, 1e6, allow_subnormal=False),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_happened_the_picture_stays_within_its_frame_and_in_its_order(
    lives: list[tuple[str, float, float]],
) -> None:
    told: list[tuple[object, ...]] = [("enqueued", "queued", 0, 0)]
    clock = 0.0
    for attempt, (how, waited, ran) in enumerate(lives, 1):
        told.append(("started", "running", attempt, clock := clock + waited))
        clock += ran
        if how == "died":
            told.append(("rescued", "queued", attempt, clock))
        else:
            told.append(("retry_planned", "retrying", attempt, clock, ERROR))
            told.append(("released", "queued", attempt, clock := clock + waited))

    drawn = drawing(lanes(history(*told), at(clock)))
    found = scale(lanes(history(*told), at(clock)))

    bars = [span for lane in drawn.lanes for span in lane.spans]
    assert all(span.left >= 0 and span.left + span.width <= 100.01 for span in bars)
    assert all(mark.label.shown_from in (None, *WIDTHS) for lane in drawn.lanes for mark in lane.marks)
    places = [found.place(BEGIN + timedelta(seconds=float(str(row[3])))) for row in told]
    assert places == sorted(places)
    assert len(found.folds) <= MOST_FOLDS
    assert [stretch.left for stretch in found.stretches[1:]] == [stretch.right for stretch in found.stretches[:-1]]


def test_labels_that_would_touch_are_shown_in_wider_pictures_only() -> None:
    drawn = drawing(
        lanes(
            history(
                ("enqueued", "queued", 0, 0),
                ("started", "running", 1, 1),
                ("cancel_requested", "running", 1, 9),
                ("cancelled", "cancelled", 1, 10),
            ),
            at(10),
        )
    )
    asked, cancelled = drawn.lanes[0].marks

    assert (cancelled.label.anchor, cancelled.label.shown_from) == ("end", 0)
    assert asked.label.shown_from is None or asked.label.shown_from >= 700


def test_two_labels_stand_to_both_sides_of_what_lies_between_them() -> None:
    died = {"death": {"host": "one", "lastSeenAt": "2030-01-31T08:00:40Z"}}
    drawn = drawing(
        lanes(
            history(
                ("enqueued", "queued", 0, 0),
                ("started", "running", 1, 1),
                ("rescued", "queued", 1, 44, died),
                ("started", "running", 2, 45),
            ),
            at(100),
        )
    )
    labels = {mark.event: mark.label for mark in drawn.lanes[0].marks}

    assert labels["died"].anchor == "end"
    assert labels["died"].shown_from is not None
    assert labels["died"].shown_from <= 900


def test_the_lines_between_lanes_are_where_one_attempt_ends_and_the_next_begins() -> None:
    drawn = drawing(lanes(TROUBLED, at(100)))

    assert [lane.enters for lane in drawn.lanes][1:] == [lane.leaves for lane in drawn.lanes][:-1]
    assert drawn.lanes[0].enters is drawn.lanes[-1].leaves is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"),
        (0.0004, "<1 ms"),
        (0.012, "12 ms"),
        (0.9996, "1 s"),
        (1.234, "1.23 s"),
        (10, "10 s"),
        (59.96, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (7_300, "2 h 2 min"),
        (86_399.9, "1 d"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_have_two_units_at_the_most(seconds: float, said: str) -> None:
    assert words(seconds) == said


def test_times_before_and_behind_the_picture_are_at_its_edges() -> None:
    found = scale_of(*once(1, 1))

    assert found.place(datetime.fromisoformat("1999-01-01T00:00:00+00:00")) == 0
    assert found.place(datetime.fromisoformat("2999-01-01T00:00:00+00:00")) == 100
