"""An API without servers: its broker and reader are stand-ins."""

import pytest
from falcon import testing

from api.app import App, create_app
from jobplatform.inquiries import Inquiries
from jobplatform.settings import Settings
from tests.services.stand_ins import StandInBroker, StandInReader


@pytest.fixture
def broker() -> StandInBroker:
    broker = StandInBroker()

    @broker.actor("GREETING")
    def greeting(name: str, shout: bool = False) -> str:
        """Greet somebody.

        Nobody else.
        """
        return f"{name}{shout}"

    return broker


@pytest.fixture
def reader() -> StandInReader:
    return StandInReader()


@pytest.fixture
def app(broker: StandInBroker, reader: StandInReader) -> App:
    return create_app(broker, reader, Inquiries(), Settings(redis_url="redis://127.0.0.1:1", max_payload_bytes=1_000))


@pytest.fixture
def client(app: App) -> testing.TestClient:
    return testing.TestClient(app)
