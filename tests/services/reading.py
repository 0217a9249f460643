"""The API over the database that the models are connected to, within the test's own process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from falcon import testing

from api.app import create_app
from jobplatform.broker import JobBroker
from jobplatform.inquiries import Inquiries
from jobplatform.models import connect_to, database
from jobplatform.reader import Reader
from jobplatform.settings import Settings


class BriefReader(Reader):
    """A reader whose thread can give its connection back."""

    def close(self) -> None:
        """Its thread ends with the process; its connection must not outlast the database."""
        self._ask(_close, "").result(10)


@contextmanager
def reading_client(url: str, redis_url: str = "redis://127.0.0.1:1") -> Iterator[testing.TestClient]:
    """A client of an API that reads; it has no writer at work unless something is submitted."""
    connect_to(url)
    reader, inquiries = BriefReader(), Inquiries()
    settings = Settings(database_url=url, redis_url=redis_url)
    try:
        yield testing.TestClient(create_app(JobBroker(settings), reader, inquiries, settings))
    finally:
        reader.close()
        inquiries.close()


def _close(_: Sequence[str]) -> dict[str, Any]:
    database.close()
    return {}
