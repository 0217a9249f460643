"""The live feed on a real Postgres: nothing missed, nothing doubled, whatever commits when."""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from api import streams as streams_module
from api.problems import Problem
from jobplatform import journal
from jobplatform.inquiries import Inquiries
from jobplatform.journal import Progress
from jobplatform.states import Event
from tests.services.journal import claimed_job, outcome, queued_job, read, settle
from tests.services.streaming import Streaming, transaction

Scenario = Callable[["Streaming"], Coroutine[Any, Any, None]]


@pytest.fixture
def run(journal_url: str) -> Iterator[Callable[..., None]]:  # noqa: ARG001
    """Runs a scenario in an event loop."""
    inquiries, looking = Inquiries(), Inquiries(threads=1)

    def run(scenario: Scenario, heartbeat: float = 15.0) -> None:
        async def whole() -> None:
            streaming = Streaming(inquiries, looking, heartbeat)
            try:
                await asyncio.wait_for(scenario(streaming), 60)
            finally:
                streaming.closing.set()
                await _until(lambda: streaming.feed.watchers == 0)

        asyncio.run(whole())

    yield run
    inquiries.close()
    looking.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _ids(url: str) -> list[int]:
    return [number for (number,) in read(url, "SELECT id FROM transitions ORDER BY id")]


def test_ids_that_commit_out_of_order_are_all_told_and_none_twice(journal_url: str, run: Callable[..., None]) -> None:
    async def scenario(streaming: Streaming) -> None:
        queued_job()
        stream = await streaming.open()
        with transaction(journal_url) as accept_early:
            early = accept_early()
            with transaction(journal_url) as accept_late:
                late = accept_late()
            between = await streaming.open()
            behind = await streaming.begins_behind(await streaming.open())
            with transaction(journal_url) as accept_last:
                last = accept_last()

        assert early < late < last
        assert await streaming.first(stream, 3) == [early, late, last]
        # Who came when the late one had been committed, and the early one not: it is told of what came after.
        assert await streaming.first(between, 2) == [early, last]
        # Who began then, was told nothing, and comes back: of the late one, too, rather than of less.
        assert await streaming.first(await streaming.open(after=behind), 3) == [early, late, last]

    run(scenario)


def test_pages_end_nowhere_where_something_is_missing(
    journal_url: str, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "PAGE", 2)
    monkeypatch.setattr("api.look.MOST", 2)
    with transaction(journal_url) as accept_one:
        first = accept_one()
        with transaction(journal_url) as accept_other:
            second = accept_other()
        third = accept_one()

    async def scenario(streaming: Streaming) -> None:
        live = await streaming.open()
        with transaction(journal_url) as accept_one:
            more = [accept_one()]
            with transaction(journal_url) as accept_other:
                last = accept_other()
            more.append(accept_one())

        assert await streaming.first(await streaming.open(after=0), 6) == [first, third, second, *more, last]
        assert await streaming.first(live, 3) == [*more, last]

    run(scenario)


def test_who_has_caught_up_while_a_transaction_is_open_is_told_of_it(
    journal_url: str, run: Callable[..., None]
) -> None:
    async def scenario(streaming: Streaming) -> None:
        queued_job()
        (known,) = _ids(journal_url)
        with transaction(journal_url) as accept_early:
            early = accept_early()
            with transaction(journal_url) as accept_late:
                late = accept_late()
            stream = await streaming.open(after=known)
            told = asyncio.create_task(streaming.first(stream, 2))
            await _until(lambda: len(streaming.feed._of_all) == 1)
        assert await told == [early, late]

    run(scenario)


def test_racing_writers_are_told_of_once_to_who_stays_who_comes_and_who_comes_back(
    journal_url: str, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "PAGE", 20)
    queued_job()
    writers = [threading.Thread(target=_write, args=(journal_url, random.Random(seed))) for seed in range(6)]  # noqa: S311

    async def scenario(streaming: Streaming) -> None:
        stays, began, comes_back = _Follower(streaming), _Follower(streaming), _Follower(streaming)
        known = _ids(journal_url)
        tasks = [asyncio.create_task(stays.follow(None)), asyncio.create_task(began.follow(0))]
        await asyncio.gather(stays.open.wait(), began.open.wait())
        tasks.append(asyncio.create_task(comes_back.come_back_each(7)))
        for writer in writers:
            writer.start()
        for writer in writers:
            await asyncio.to_thread(writer.join)
        everything = _ids(journal_url)
        new = [number for number in everything if number not in known]
        await _until(lambda: len(stays.ids) >= len(new) and len(began.ids) >= len(everything))
        await _until(lambda: len(comes_back.ids) > len(everything) - 7)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert len(new) > 200
        assert sorted(stays.ids) == new
        assert sorted(began.ids) == everything
        assert comes_back.ids == began.ids[: len(comes_back.ids)]

    run(scenario)


def _write(url: str, chance: random.Random) -> None:
    for _ in range(25):
        with suppress(_ChangedItsMind), transaction(url) as accept:
            for _ in range(chance.randint(1, 4)):
                accept()
            read(url, "SELECT pg_sleep(%s)", [chance.random() / 50])  # others commit meanwhile
            if chance.random() < 0.1:
                raise _ChangedItsMind


class _ChangedItsMind(Exception):
    """A writer takes back what it wrote."""


class _Follower:
    """A client of the stream of all, and the ids that it was told."""

    def __init__(self, streaming: Streaming) -> None:
        self.ids: list[int] = []
        self.open = asyncio.Event()
        self._streaming = streaming

    async def follow(self, after: int | None) -> None:
        async with aclosing(self._streaming.events(await self._streaming.open(after=after))) as events:
            self.open.set()
            async for _, number, _ in events:
                self.ids.append(number or 0)

    async def come_back_each(self, count: int) -> None:
        """Leave after so many, and go on behind the last one."""
        while True:
            after = self.ids[-1] if self.ids else 0
            async with aclosing(self._streaming.events(await self._streaming.open(after=after))) as events:
                for _ in range(count):
                    _, number, _ = await anext(events)
                    self.ids.append(number or 0)


def test_a_long_transaction_holds_back_the_stream_of_all_but_not_that_of_a_job(
    journal_url: str, run: Callable[..., None]
) -> None:
    async def scenario(streaming: Streaming) -> None:
        claim = claimed_job()
        every = await streaming.open()
        of_job = await streaming.open(claim.job_id)
        with transaction(journal_url) as accept:
            accept()
            settle(claim, Event.FAILED)
            events = [data["event"] async for _, _, data in streaming.events(of_job)]
            assert events == ["enqueued", "started", "failed"]
            watcher: Any = every.stream
            assert len(watcher._pieces) == 2  # its beginning
        assert len(await streaming.first(every, 2)) == 2

    run(scenario)


def test_the_stream_of_a_job_tells_its_whole_life_with_its_progress_and_ends(
    journal_url: str, run: Callable[..., None]
) -> None:
    async def scenario(streaming: Streaming) -> None:
        claim = claimed_job()
        other = claimed_job()
        stream = await streaming.open(claim.job_id)
        journal.commit(
            [
                Progress(claim.job_id, 1, claim.token, '{"done":\n1,"total":2}'),
                Progress(other.job_id, 1, other.token, '{"done":1,"total":3}'),
            ]
        )
        told: list[tuple[str, dict[str, Any]]] = []
        async for kind, _, data in streaming.events(stream):
            told.append((kind, data))
            if kind == "progress":
                journal.commit([outcome(claim), outcome(other)])

        assert [(kind, data.get("event"), data["jobId"]) for kind, data in told] == [
            ("transition", "enqueued", claim.job_id),
            ("transition", "started", claim.job_id),
            ("progress", None, claim.job_id),
            ("transition", "completed", claim.job_id),
        ]
        assert told[1][1]["worker"] == "here:1#7007"
        assert told[1][1]["type"] == "PROBE"
        assert told[2][1] == {"jobId": claim.job_id, "attempt": 1, "progress": {"done": 1, "total": 2}}
        assert streaming.feed.watchers == 0

        ids = [
            number for (number,) in read(journal_url, "SELECT id FROM transitions WHERE job_id = %s", [claim.job_id])
        ]
        assert [i async for _, i, _ in streaming.events(await streaming.open(claim.job_id, min(ids)))] == sorted(ids)[
            1:
        ]
        again = await streaming.open(claim.job_id, max(ids))
        assert (again.status_code, again.stream) == (204, None)

    run(scenario)


def test_two_who_watch_one_job_from_different_transitions_are_told_each_what_it_lacks(
    run: Callable[..., None],
) -> None:
    async def scenario(streaming: Streaming) -> None:
        claim = claimed_job()
        first, second = await streaming.first(await streaming.open(claim.job_id), 2)
        late = await streaming.open(claim.job_id, second)
        early = await streaming.open(claim.job_id, first)
        settle(claim)

        assert [data["event"] async for _, _, data in streaming.events(late)] == ["completed"]
        assert [data["event"] async for _, _, data in streaming.events(early)] == ["started", "completed"]

    run(scenario)


@pytest.mark.parametrize("of_job", [True, False])
def test_an_id_that_the_stream_has_not_is_refused(run: Callable[..., None], of_job: bool) -> None:
    async def scenario(streaming: Streaming) -> None:
        job_id = queued_job() if of_job else None
        (foreign,) = await streaming.first(await streaming.open(queued_job()), 1)

        for unknown in (10**15, foreign) if of_job else (10**15,):
            with pytest.raises(Problem) as problem:
                await streaming.open(job_id, unknown)
            assert problem.value.kind.name == "invalid-parameter"
        assert streaming.feed.watchers == 0

    run(scenario)


def test_silence_is_filled_with_heartbeats(run: Callable[..., None]) -> None:
    async def scenario(streaming: Streaming) -> None:
        watcher: Any = (await streaming.open()).stream

        assert await anext(watcher) == b": open\nretry: 1000\n\nid: 0\n\n"
        assert [await anext(watcher) for _ in range(2)] == [b": still here\n\n"] * 2
        await watcher.close()

    run(scenario, heartbeat=0.05)


def test_who_leaves_too_much_unread_is_let_go_and_can_go_on_where_it_was(
    journal_url: str, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.watcher.MOST_BYTES", 1_000)

    async def scenario(streaming: Streaming) -> None:
        stuck: Any = (await streaming.open()).stream
        reads = await streaming.open()
        blocked = asyncio.Event()

        async def read_one_and_no_more() -> None:
            await anext(stuck)
            blocked.set()
            await asyncio.Event().wait()

        reading = asyncio.create_task(read_one_and_no_more())
        await blocked.wait()
        ids = []
        async with aclosing(streaming.events(reads)) as events:
            while not reading.done():
                queued_job()
                ids.append((await anext(events))[1])
        assert reading.cancelled()
        assert streaming.feed.watchers == 0
        assert ids == _ids(journal_url)
        assert await streaming.first(await streaming.open(after=ids[0]), len(ids) - 1) == ids[1:]

    run(scenario)


def test_a_client_that_goes_is_forgotten_and_the_feed_rests(journal_url: str, run: Callable[..., None]) -> None:
    async def scenario(streaming: Streaming) -> None:
        job_id = queued_job()
        watching = [
            asyncio.create_task(streaming.first(await streaming.open(of), 1_000)) for of in (None, job_id, None)
        ]
        await _until(lambda: streaming.feed.watchers == 3)
        streaming.clients_gone.set()
        await asyncio.gather(*watching, return_exceptions=True)

        assert streaming.feed.watchers == 0
        assert not streaming.feed._of_all
        assert not streaming.feed._of_job
        await _until(lambda: streaming.feed._runs is not None and streaming.feed._runs.done())
        queries = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_snapshot_xmin%' AND state = 'active'"
        assert read(journal_url, queries + " AND pid <> pg_backend_pid()") == [(0,)]

    run(scenario)


def test_closing_ends_streams_at_once(run: Callable[..., None]) -> None:
    async def scenario(streaming: Streaming) -> None:
        watching = [asyncio.create_task(streaming.first(await streaming.open(), 1_000)) for _ in range(20)]
        streaming.closing.set()
        ended = await asyncio.wait_for(asyncio.gather(*watching, return_exceptions=True), 1)

        assert {type(end) for end in ended} == {StopAsyncIteration}
        late: Any = (await streaming.open(queued_job())).stream
        assert len([piece async for piece in late]) == 1
        with pytest.raises(Problem, match="503"):
            await asyncio.wait_for(streaming.open(), 1)
        assert streaming.feed.watchers == 0

    run(scenario)


def test_there_are_so_many_streams_and_no_more(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.places.MOST", 2)

    async def scenario(streaming: Streaming) -> None:
        job_id = queued_job()
        open_streams: list[Any] = [(await streaming.open()).stream, (await streaming.open(job_id)).stream]
        with pytest.raises(Problem) as problem:
            await streaming.open()
        assert problem.value.status_code == 503
        assert problem.value.headers == {"Retry-After": "5"}
        await open_streams[0].close()
        await streaming.open()

    run(scenario)


def test_streams_stand_still_while_postgres_is_away_and_go_on_when_it_is_back(
    journal_url: str, run: Callable[..., None]
) -> None:
    async def scenario(streaming: Streaming) -> None:
        stream = await streaming.open()
        read(
            journal_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE '%pg_%snapshot%' AND pid <> pg_backend_pid()",
        )
        with transaction(journal_url) as accept:
            number = accept()
        assert await streaming.first(stream, 1) == [number]

    run(scenario)
