"""How Postgres is started by a user that it refuses: root, or one without a name."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from jobplatform.errors import PlatformError

_NOBODY: Final = 65_534
_NAMESPACE: Final = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")


class NobodyToRunAs(PlatformError):
    """Postgres does not run as this user, and there is no other for it."""


@dataclass(frozen=True)
class Identity:
    """Whom a program runs as."""

    #: Words before the command.
    prefix: tuple[str, ...] = ()
    #: The uid to become; None: who we are.
    user: int | None = None


def unprivileged(*folders: Path) -> Identity:
    """Whom Postgres runs as, and owns its data as; the folders are those that it must enter.

    Raises:
        NobodyToRunAs: one line that says why, and what to do.
    """
    if os.getuid() != 0 and _has_name(os.getuid()):
        return Identity()
    if _namespaces_allowed():
        return Identity(prefix=_NAMESPACE)  # on the disk it is still who we are: no folder changes hands
    if os.getuid() != 0:
        raise NobodyToRunAs(
            f"Postgres does not run as user {os.getuid()}, who has no name on this machine: "
            "run as another user, or set DATABASE_URL."
        )
    for folder in folders:
        for parent in (folder, *folder.parents):
            if parent.exists() and not parent.stat().st_mode & 0o001 and parent.stat().st_uid != _NOBODY:
                raise NobodyToRunAs(
                    f"Postgres does not run as root, and user {_NOBODY} cannot enter {parent}: "
                    "run as another user, move the checkout, or set DATABASE_URL."
                )
    return Identity(user=_NOBODY)


def hand_over(folder: Path, identity: Identity) -> None:
    """Give a folder and all in it to whom it will be used as, if root does the asking."""
    owner = identity.user or 0
    if os.getuid() != 0 or (folder.exists() and folder.stat().st_uid == owner):
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


@cache
def _namespaces_allowed() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run((*_NAMESPACE, "true"), capture_output=True, check=False).returncode == 0  # noqa: S603
