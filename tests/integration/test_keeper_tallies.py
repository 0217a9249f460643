"""A keeper and its tallies: it adds up beside all else that it does, and what goes wrong there keeps nothing else."""

from contextlib import closing

import psycopg2
import pytest

from jobplatform.journal.tallies import BITE, ENDS
from jobplatform.keeper import Keeper
from tests.services.journal import queued_job, read
from tests.services.workshop import Workshop


@pytest.fixture
def keeper(workshop: Workshop) -> Keeper:
    """A keeper whose ticks one makes oneself, and which has one job's end to add up at the first."""
    workshop.actor("PROBE")(lambda: None)
    workshop.finish(workshop.broker.types["PROBE"].send().message_id)
    read(workshop.settings.database_url, "UPDATE tally_position SET tallied_at = '-infinity'")
    keeper = Keeper(workshop.settings)
    keeper._tally_at = 0.0
    return keeper


def completed(url: str) -> int:
    ((number,),) = read(url, "SELECT coalesce(sum(completed), 0) FROM tallies WHERE span = 1 AND type = 'PROBE'")
    return int(number)


def test_a_keeper_adds_up(workshop: Workshop, keeper: Keeper) -> None:
    keeper.tick()

    assert completed(workshop.settings.database_url) == 1


def test_what_cannot_be_added_up_keeps_nothing_else(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queued_job()
    monkeypatch.setattr("jobplatform.journal.add_up", lambda _: 1 / 0)

    for _ in range(3):
        keeper.tick()

    assert caplog.text.count("Nothing can be added up") == 1


@pytest.mark.parametrize("table", ["tally_position", "tallies"])
def test_where_the_tables_are_missing_the_keeper_does_all_else(
    workshop: Workshop, keeper: Keeper, caplog: pytest.LogCaptureFixture, table: str
) -> None:
    """A tick that fails gives up its connection, and then deaths are looked for from the beginning: each time."""
    url = workshop.settings.database_url
    read(url, f"ALTER TABLE {table} RENAME TO elsewhere")
    try:
        for _ in range(3):
            keeper.tick()
    finally:
        read(url, f"ALTER TABLE elsewhere RENAME TO {table}")

    assert caplog.text.count("Nothing can be added up") == 1


def test_a_bite_that_takes_too_long_is_given_up_and_the_next_one_is_smaller(
    workshop: Workshop, keeper: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jobplatform.journal.tallies.LONGEST", 0.2)
    url = workshop.settings.database_url
    with closing(psycopg2.connect(url)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE tallies")
        keeper.tick()
        assert caplog.text.count("Nothing can be added up") == 1
    assert keeper._bite < BITE
    assert completed(url) == 0

    keeper._tally_at = 0.0
    keeper.tick()

    assert completed(url) == 1


def test_a_keeper_deletes_tallies_that_are_old(workshop: Workshop, keeper: Keeper) -> None:
    zeros = ", ".join(["0"] * len(ENDS))
    url = workshop.settings.database_url
    read(url, f"INSERT INTO tallies VALUES (1, '', now() - interval '2 days', 'high', {zeros}, '{{}}', '{{}}')")

    keeper.tick()

    assert read(url, "SELECT count(*) FROM tallies WHERE at < now() - interval '1 day'") == [(0,)]
