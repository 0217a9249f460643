"""The API as it is while it stops, for longer than that. ``gunicorn tests.services.stopping_api:application()``."""

from api.app import App
from api.app import application as sound_application


def application() -> App:
    """The app of this process, which lets nobody wait."""
    app = sound_application()
    app.closing.set()
    return app
