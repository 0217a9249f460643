"""The picture of the state machine."""

from itertools import combinations

from api.dashboard.picture.machine import ARROWS, HEIGHT, NODE_HEIGHT, NODE_WIDTH, TIMES, WIDTH, machine
from jobplatform.states import TRANSITIONS, Event, Status
from tests.services.lives import TROUBLED, history


def test_every_legal_step_is_drawn_once_and_no_other() -> None:
    legal = {(event, *pair) for event, pairs in TRANSITIONS.items() for pair in pairs if event is not Event.FENCED}

    assert {(arrow.event, arrow.before, arrow.after) for arrow in ARROWS} == legal
    assert len(ARROWS) == len(legal)


def test_the_way_that_a_job_took_is_counted_and_the_present_status_marked() -> None:
    drawn = machine(TROUBLED, "completed")

    times = {
        (str(one.arrow.event), str(one.arrow.before), str(one.arrow.after)): one.times
        for one in drawn.arrows
        if one.times
    }
    assert times == {
        ("enqueued", "None", "queued"): 1,
        ("started", "queued", "running"): 4,
        ("retry_planned", "running", "retrying"): 2,
        ("released", "retrying", "queued"): 2,
        ("rescued", "running", "queued"): 1,
        ("completed", "running", "completed"): 1,
    }
    assert [one.status for one in drawn.statuses if one.present] == [Status.COMPLETED]
    assert {one.status: one.times for one in drawn.statuses}[Status.RUNNING] == 4
    assert {one.label for one in drawn.arrows if one.times > 1} == {
        f"started {TIMES}4",
        f"retry planned {TIMES}2",
        f"released {TIMES}2",
    }


def test_refused_outcomes_are_counted_and_not_drawn() -> None:
    drawn = machine(history(("enqueued", "queued", 0, 0), ("fenced", "queued", 0, 1)), "queued")

    assert drawn.fenced == 1
    assert all(one.times == 0 for one in drawn.arrows if one.arrow.event is not Event.ENQUEUED)


def test_statuses_lie_apart_and_within_the_picture() -> None:
    centres = [one.centre for one in machine([], "queued").statuses]

    assert len(centres) == len(Status)
    for x, y in centres:
        assert NODE_WIDTH / 2 < x < WIDTH - NODE_WIDTH / 2
        assert NODE_HEIGHT / 2 < y < HEIGHT - NODE_HEIGHT / 2
    assert all(abs(a[0] - b[0]) > NODE_WIDTH or abs(a[1] - b[1]) > NODE_HEIGHT for a, b in combinations(centres, 2))
