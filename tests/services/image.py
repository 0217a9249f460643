"""Lays out on this machine what the Dockerfile puts into its image, and runs commands in it as a container would.

Only the base image and the packages from elsewhere are this machine's own. What the image lacks is missing here too.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.services.dockerfile import Copy, Ignored, Stage, read_dockerfile

_SCRIPTS = ("dramatiq", "gunicorn")


class Image:
    """The image of a checkout, below a folder."""

    def __init__(self, checkout: Path, folder: Path):
        self._checkout = checkout
        self._folder = folder
        self._ignored = Ignored(checkout / ".dockerignore")
        *before, self.final = read_dockerfile(checkout / "Dockerfile")
        for stage in (*before, self.final):
            self._lay_out(stage)

    @property
    def root(self) -> Path:
        return self._at(self.final, "/")

    def _lay_out(self, stage: Stage) -> None:
        self._at(stage, stage.folder).mkdir(parents=True)
        for copy in stage.copies:
            self._copy(stage, copy)
        if any("pip wheel" in run for run in stage.runs):
            self._install(stage)

    def _copy(self, stage: Stage, copy: Copy) -> None:
        for source in copy.sources:
            origin = self._folder / copy.stage / source.lstrip("/") if copy.stage else self._checkout / source
            # A folder's content goes into the target; a file becomes the target, or goes into one that ends with "/".
            target = self._at(stage, copy.target)
            if origin.is_dir():
                ignore = None if copy.stage else self._ignored_names
                shutil.copytree(origin, target, symlinks=True, dirs_exist_ok=True, ignore=ignore)
            elif source in self._ignored:
                raise FileNotFoundError(f"{source} does not enter the build: .dockerignore keeps it out.")
            else:
                target = target / origin.name if copy.target.endswith("/") else target
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(origin, target)

    def _ignored_names(self, folder: str, names: list[str]) -> set[str]:
        below = Path(folder).relative_to(self._checkout)
        return {name for name in names if (below / name).as_posix() in self._ignored}

    def _install(self, stage: Stage) -> None:
        """Build the project's wheel from what was copied, and install it beside this machine's packages."""
        environment = self._at(stage, "/opt/venv")
        venv.EnvBuilder(symlinks=True).create(environment)
        wheels = self._at(stage, "/wheels")
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels],
            cwd=self._at(stage, stage.folder),
            check=True,
            capture_output=True,
        )
        packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
        (wheel,) = wheels.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)
        # A folder that a .pth names is searched, but its own .pth files, with the checkout in them, are not read.
        (packages / "packages.pth").write_text(sysconfig.get_path("purelib"))
        for script in _SCRIPTS:
            _, _, code = (Path(sysconfig.get_path("scripts")) / script).read_text().partition("\n")
            # Where the final stage has it: that is what it will be run as.
            (environment / "bin" / script).write_text(f"#!{self.root}/opt/venv/bin/python\n{code}")
            (environment / "bin" / script).chmod(0o755)

    def _at(self, stage: Stage, path: str) -> Path:
        return self._folder / (stage.name or "image") / path.lstrip("/")


@dataclass(frozen=True)
class Container:
    """Commands of one service, in its own copy of the image's working folder, with the mounts in place."""

    image: Image
    folder: Path
    #: What the image's settings are overridden with.
    environment: Mapping[str, str]
    #: Where this machine has what the service knows by another address, such as ``db:5432`` or ``0.0.0.0``.
    addresses: Mapping[str, str]
    #: Who the commands run as: words before each.
    prefix: Sequence[str] = ()

    def prepare(self, mounts: Mapping[str, Path]) -> None:
        shutil.copytree(self.image.root / "app", self.folder, symlinks=True)
        for target, source in mounts.items():
            Path(self._text(target)).symlink_to(source)

    def variables(self) -> dict[str, str]:
        """The environment of its processes. Nothing of this machine's search path for modules gets in."""
        wanted = {"PYTHONPATH": "", **self.image.final.environment, **self.environment}
        path = wanted["PATH"].replace("$PATH", f"/usr/local/bin:{os.environ['PATH']}")
        return {name: self._text(value) for name, value in {**wanted, "PATH": path}.items()}

    def words(self, command: Sequence[str]) -> list[str]:
        """The command as it can be run here, through the image's entrypoint."""
        entrypoint = self.image.final.words("ENTRYPOINT")
        return [*self.prefix, *(self._text(word) for word in (*entrypoint, *command))]

    def _text(self, text: str) -> str:
        for address, here in self.addresses.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(address)}(?![\w.])", here, text)
        text = re.sub(r"(?<![\w./-])/app(?![\w.-])", str(self.folder), text)
        return re.sub(r"(?<![\w./-])/(opt/venv|usr/local/bin)(?![\w.-])", rf"{self.image.root}/\1", text)
