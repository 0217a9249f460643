"""The API with a fault: whatever it is asked for goes wrong. ``gunicorn tests.services.faulty_api:application()``."""

from typing import Any

from api.app import App
from api.app import application as sound_application


class _Fault:
    async def process_resource(self, _req: Any, _resp: Any, _resource: Any, _params: Any) -> None:
        raise RuntimeError("made on purpose")


def application() -> App:
    """The app of this process, whose every responder fails before it begins."""
    app = sound_application()
    app.add_middleware(_Fault())
    return app
