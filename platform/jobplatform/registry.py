"""Loads the modules that declare actors, by the names that ACTORS gives."""

import importlib
from collections.abc import Iterable

from jobplatform.broker import broker
from jobplatform.errors import SettingsError


def load_actors(names: Iterable[str]) -> None:
    """Import the modules that declare actors, which declares them.

    Raises:
        SettingsError: a module does not exist, or none of them declares an actor.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # it exists, but something that it needs does not
            raise SettingsError(f"ACTORS names the module {name}, which cannot be found.") from None
    if not broker.types:
        raise SettingsError(f"ACTORS names {', '.join(names)}, where no actor is declared.")
