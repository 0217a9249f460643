"""Each call of the API with each status and problem that openapi.json tells, as gunicorn answers it."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM
from typing import Final

import pytest

from jobplatform.api_key import SCOPES, new_key
from jobplatform.local.ports import free_port
from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.asking import Answer, ask
from tests.services.calls_and_statuses import ROWS, TOO_LONG
from tests.services.databases import fresh_database
from tests.services.described import assert_as_told, told
from tests.services.invariants import assert_sound
from tests.services.journal import connected
from tests.services.patience import eventually
from tests.services.processes import Processes
from tests.services.rows import FAULTY, LIMITED, SERVING, WITHOUT_POSTGRES, Row
from tests.services.situations import JSON, Stage

ROOT: Final = Path(__file__).parents[2]
GUNICORN: Final = Path(sys.executable).with_name("gunicorn")

#: One key for each scope, named after it, and one that no server knows.
MADE: Final = {scope: new_key(scope, scope) for scope in SCOPES}
KEYS: Final = {"unknown": new_key("unknown", "read")[0], **{scope: key for scope, (key, _) in MADE.items()}}

#: Under this id each request comes.
REQUEST_ID: Final = "every-status"
#: What gunicorn refuses before the app sees anything.
OF_GUNICORN: Final = "text/plain"
#: Nothing listens on port 1. Who waits for Postgres gives up soon.
_NO_POSTGRES: Final = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "SUBMIT_TIMEOUT": "100"}


class Servers:
    """The servers that the rows are asked of."""

    def __init__(self, ports: dict[str, int], stage: Stage) -> None:
        self._ports = ports
        self._stage = stage
        self._stalled: dict[str, Answer] = {}

    def answer(self, row: Row) -> Answer:
        """Bring the row's situation about, and ask."""
        if row.stalls:
            return self._answer_to_stalled(row)
        if row.server == LIMITED:
            return self._answer_to_one_too_many(row)
        return self._ask(row)

    def _answer_to_one_too_many(self, row: Row) -> Answer:
        """The first is let in, and so are all others while Redis takes too long to count them."""
        answers: list[Answer] = []

        def refused() -> bool:
            answers.append(self._ask(row))
            return answers[-1].status == row.status

        eventually(refused, what=str(row))
        return answers[-1]

    def _answer_to_stalled(self, row: Row) -> Answer:
        """They take as long as the server's patience, so all are asked at the same time."""
        if not self._stalled:
            stalled = [each for each in ROWS if each.stalls]
            with ThreadPoolExecutor(len(stalled)) as threads:
                self._stalled = dict(zip(map(str, stalled), threads.map(self._ask, stalled), strict=True))
        return self._stalled[str(row)]

    def _ask(self, row: Row) -> Answer:
        words = {**row.call.at, **row.at, **row.given(self._stage)}
        target = row.call.path.format(**words) + (f"?{row.query.format(**words)}" if row.query else "")
        body = row.call.body if row.body is None else row.body
        headers = {"X-Request-Id": REQUEST_ID}
        if body is not None:
            headers |= {**JSON, "Content-Length": str(len(body) + row.stalls)}
        if scope := row.call.scope if row.scope is None else row.scope:
            headers["Authorization"] = f"Bearer {KEYS[scope]}"
        headers |= {name: value.format(**words) for name, value in row.headers.items()}
        return ask(self._ports[row.server], row.call.method, target, headers, body)


@pytest.fixture(scope="module")
def servers(
    postgres_server: Postgres, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("output")
    started = Processes()
    with fresh_database(postgres_server) as url:
        own: dict[str, tuple[dict[str, str], Sequence[str]]] = {
            SERVING: ({"DATABASE_URL": url}, ()),
            WITHOUT_POSTGRES: (_NO_POSTGRES, ("--timeout", "3")),
            LIMITED: ({**_NO_POSTGRES, "RATE_LIMIT": "1/day"}, ()),
            FAULTY: (_NO_POSTGRES, ("tests.services.faulty_api:application()",)),
        }
        shared = {
            "REDIS_URL": redis_server.url,
            "OUTPUT_DIR": str(folder),
            "API_KEYS": ",".join(str(entry) for _, entry in MADE.values()),
            "MAX_PAYLOAD_BYTES": "1000",
            "MAX_BODY_BYTES": str(TOO_LONG // 2),
            "WEB_CONCURRENCY": "1",
        }
        ports = {name: free_port() for name in own}
        try:
            running = [
                started.start(GUNICORN, *options, environment={**shared, **its, "PORT": str(ports[name])}, folder=ROOT)
                for name, (its, options) in own.items()
            ]
            for server in running:
                server.wait_for("The API listens at")
            with connected(url):
                yield Servers(ports, Stage(ports[SERVING], KEYS, folder))
            for server in running:
                server.signal(SIGTERM)  # all at once: each takes its time
        finally:
            started.stop_all()
        assert_sound(url)


def test_the_table_has_a_row_for_all_that_is_described_and_for_nothing_else() -> None:
    proved = {row.told for row in ROWS}

    assert sorted(map(str, told() - proved)) == [], "described, but in no row"
    assert sorted(map(str, proved - told())) == [], "in a row, but not described"


def test_no_two_rows_say_the_same() -> None:
    assert [name for name, count in Counter(map(str, ROWS)).items() if count > 1] == []


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_row_is_answered_as_it_says_and_as_is_described(servers: Servers, row: Row) -> None:
    answer = servers.answer(row)

    assert answer.status == row.status, answer.body[:1_000]
    assert_as_told(row.told, answer.headers, answer.body)
    refused_by_gunicorn = row.kind == OF_GUNICORN and row.status >= 400
    assert answer.headers["X-Request-Id"] == (None if refused_by_gunicorn else REQUEST_ID)
    assert {name: answer.headers[name] for name in row.brings} == row.brings
    if row.holds:
        told_of = json.loads(answer.body)
        assert {name: told_of.get(name) for name in row.holds} == row.holds
    assert row.proof(answer.body), answer.body[:1_000]
