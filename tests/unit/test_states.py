"""The machine as data."""

import pytest

from jobplatform.states import FINAL, TRANSITIONS, Event, Status


def test_every_event_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(Event)
    assert all(TRANSITIONS.values())


def test_every_status_is_reached_and_only_the_final_ones_are_left_by_nobody_but_a_person() -> None:
    reached = {after for pairs in TRANSITIONS.values() for _, after in pairs}
    left_alone = {
        before
        for event, pairs in TRANSITIONS.items()
        for before, after in pairs
        if before != after and event is not Event.RESUBMITTED
    }

    assert reached == set(Status)
    assert left_alone - {None} == set(Status) - FINAL
    assert {before for before, _ in TRANSITIONS[Event.RESUBMITTED]} == FINAL - {Status.COMPLETED}


@pytest.mark.parametrize("event", [Event.RESENT, Event.FENCED, Event.CANCEL_REQUESTED])
def test_some_events_change_no_status(event: Event) -> None:
    assert all(before == after for before, after in TRANSITIONS[event])


def test_nothing_but_a_claim_starts_work() -> None:
    assert [event for event, pairs in TRANSITIONS.items() if any(b != a == Status.RUNNING for b, a in pairs)] == [
        Event.STARTED
    ]


_STATUSES = "scheduled queued running retrying completed failed cancelled"
_EVENTS = (
    "enqueued scheduled released started retry_planned completed failed rescued interrupted resent fenced "
    "cancel_requested cancelled resubmitted"
)


def test_the_words_are_those_of_the_contract() -> None:
    assert " ".join(Status) == _STATUSES
    assert " ".join(Event) == _EVENTS
