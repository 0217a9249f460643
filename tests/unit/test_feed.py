"""Who is told what of a look, when others come while it is under way."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from api.feed import Feed
from api.look import Look, Seen, tell
from api.places import Places
from api.watcher import Watcher
from jobplatform.queries.feed import FeedRow

JOB = "01890a5d-ac96-774b-bcce-b302099a8057"
AT = datetime(2030, 1, 31, 8, 0, 0, tzinfo=UTC)


def _row(number: int, to_status: str = "queued") -> FeedRow:
    return FeedRow(number, number, JOB, "PROBE", "resent", "queued", to_status, 0, AT, None, None, None, None)


class _Postgres:
    """Answers looks with a job's transitions, when it is told to."""

    def __init__(self) -> None:
        self.looks: asyncio.Queue[tuple[Look, asyncio.Future[Seen]]] = asyncio.Queue()

    async def look(self, wanted: Look) -> Seen:
        answer: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        self.looks.put_nowait((wanted, answer))
        return await answer

    async def answer(self, asked: int, rows: Sequence[FeedRow]) -> None:
        """Answer the next look that asks for what is behind an id."""
        while True:
            wanted, answer = await self.looks.get()
            found = rows if wanted.of_jobs == {JOB: asked} else ()
            answer.set_result(Seen(wanted, None, [], b"", tell(list(found)), []))
            if found:
                return


async def _told(watcher: Watcher) -> list[int]:
    """The ids that a stream tells of, until it ends."""
    said = b"".join([piece async for piece in watcher])
    return [int(line.removeprefix(b"id: ")) for line in said.splitlines() if line.startswith(b"id: ")]


def test_who_comes_during_a_look_with_less_than_it_asks_for_waits_for_the_next_one() -> None:
    async def scenario() -> None:
        postgres, closing = _Postgres(), asyncio.Event()
        feed = Feed(postgres.look, closing, Places())
        early, late = feed.watcher(of_all=False), feed.watcher(of_all=False)
        feed.join_job(early, JOB, 10)
        wanted, answer = await postgres.looks.get()
        feed.join_job(late, JOB, 9)
        answer.set_result(Seen(wanted, None, [], b"", tell([_row(11)]), []))
        await postgres.answer(9, [_row(10), _row(11)])
        await postgres.answer(11, [_row(12, "cancelled")])

        assert await _told(early) == [11, 12]
        assert await _told(late) == [10, 11, 12]
        closing.set()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_who_comes_just_as_the_feed_goes_to_rest_is_not_let_go_with_it() -> None:
    async def scenario() -> None:
        postgres, closing = _Postgres(), asyncio.Event()
        feed = Feed(postgres.look, closing, Places())
        feed.join_job(early := feed.watcher(of_all=False), JOB, 10)
        await postgres.answer(10, [_row(11, "cancelled")])
        assert await _told(early) == [11]
        await early.close()
        ending = feed._runs
        assert ending is not None
        while not ending.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        feed.join_job(late := feed.watcher(of_all=False), JOB, 11)
        await postgres.answer(11, [_row(12, "cancelled")])

        assert await _told(late) == [12]
        closing.set()

    asyncio.run(asyncio.wait_for(scenario(), 20))
