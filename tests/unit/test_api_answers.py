"""How answers of other threads reach coroutines."""

import asyncio
import threading
import time

import pytest

from api.answers import Answers
from jobplatform.answer import Answer
from jobplatform.errors import DatabaseUnavailable, JobIdTaken


def test_a_future_resolved_in_another_thread_is_awaited() -> None:
    async def ask() -> int:
        future: Answer[int] = Answer()
        threading.Timer(0.01, future.set_result, (7,)).start()
        return await Answers(1_000).of(future)

    assert asyncio.run(ask()) == 7


def test_a_future_resolved_before_is_awaited() -> None:
    async def ask() -> int:
        future: Answer[int] = Answer()
        future.set_result(7)
        return await Answers(1_000).of(future)

    assert asyncio.run(ask()) == 7


def test_an_error_is_raised_where_it_is_awaited() -> None:
    async def ask() -> None:
        future: Answer[None] = Answer()
        future.set_exception(JobIdTaken())
        await Answers(1_000).of(future)

    with pytest.raises(JobIdTaken):
        asyncio.run(ask())


def test_no_answer_in_time_means_that_the_database_is_unavailable() -> None:
    async def ask() -> float:
        before = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await Answers(50).of(Answer())
        return time.monotonic() - before

    assert 0.04 < asyncio.run(ask()) < 1


def test_each_question_has_its_own_deadline() -> None:
    async def ask() -> list[str]:
        answers = Answers(100)
        ended: list[str] = []

        async def one(name: str, future: "Answer[None]") -> None:
            try:
                await answers.of(future)
                ended.append(f"{name} answered")
            except DatabaseUnavailable:
                ended.append(f"{name} timed out")

        first, second = Answer[None](), Answer[None]()
        tasks = [asyncio.create_task(one("first", first))]
        await asyncio.sleep(0.05)
        tasks.append(asyncio.create_task(one("second", second)))
        await asyncio.wait({tasks[0]})
        second.set_result(None)
        await asyncio.gather(*tasks)
        return ended

    assert asyncio.run(ask()) == ["first timed out", "second answered"]


def test_a_late_answer_disturbs_nobody() -> None:
    async def ask() -> int:
        answers = Answers(20)
        late, prompt = Answer[int](), Answer[int]()
        with pytest.raises(DatabaseUnavailable):
            await answers.of(late)
        late.set_result(1)
        prompt.set_result(2)
        return await answers.of(prompt)

    assert asyncio.run(ask()) == 2


def test_a_cancelled_coroutine_leaves_its_question_alone() -> None:
    async def ask() -> "Answer[int]":
        future: Answer[int] = Answer()
        answers = Answers(1_000)

        async def wait() -> int:
            return await answers.of(future)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return future

    future = asyncio.run(ask())

    assert not future.done()


def test_thousands_of_answers_of_several_threads_all_arrive() -> None:
    async def ask() -> list[int]:
        answers = Answers(10_000)
        futures = [Answer[int]() for _ in range(4_000)]

        def resolve(part: int) -> None:
            for number in range(part, len(futures), 4):
                futures[number].set_result(number)

        waiters = [answers.of(future) for future in futures]
        threads = [threading.Thread(target=resolve, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        got = await asyncio.gather(*waiters)
        for thread in threads:
            thread.join()
        return list(got)

    assert asyncio.run(ask()) == list(range(4_000))


def test_an_answer_after_the_loop_has_closed_is_dropped() -> None:
    future: Answer[int] = Answer()

    async def ask() -> None:
        waiter = Answers(10_000).of(future)
        waiter.cancel()

    asyncio.run(ask())
    future.set_result(1)

    assert future.result() == 1
