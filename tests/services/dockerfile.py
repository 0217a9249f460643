"""Reads a Dockerfile and its .dockerignore: as much of their languages as ours use."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Copy:
    """One COPY: from the build's context, or from another stage."""

    sources: list[str]
    target: str
    stage: str | None


@dataclass
class Stage:
    """What one FROM begins, with the settings that hold at its end."""

    image: str
    name: str
    folder: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    #: Everything else, such as USER or CMD: the last one counts.
    said: dict[str, str] = field(default_factory=dict)

    def words(self, instruction: str) -> list[str]:
        """The exec form of CMD or ENTRYPOINT."""
        words = json.loads(self.said[instruction])
        assert isinstance(words, list)
        return words

    def health_check(self) -> list[str]:
        words = json.loads(self.said["HEALTHCHECK"].partition(" CMD ")[2])
        assert isinstance(words, list)
        return words


def read_dockerfile(file: Path) -> list[Stage]:
    """The stages, in order.

    Raises:
        ValueError: it uses an instruction that this reader does not know.
    """
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in _instructions(file.read_text()):
        instruction, _, rest = line.partition(" ")
        if instruction == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif instruction == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], image), name))
        else:
            _read(stages[-1], instruction, rest)
    return stages


def _instructions(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [line.strip() for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()]


def _read(stage: Stage, instruction: str, rest: str) -> None:
    if instruction == "ENV":
        stage.environment |= dict(word.split("=", 1) for word in shlex.split(rest))
    elif instruction == "COPY":
        options = [word for word in rest.split() if word.startswith("--")]
        *sources, target = [word for word in rest.split() if not word.startswith("--")]
        origin = next((option.removeprefix("--from=") for option in options if option.startswith("--from=")), None)
        stage.copies.append(Copy(sources, target if target.startswith("/") else f"{stage.folder}/{target}", origin))
    elif instruction == "WORKDIR":
        stage.folder = rest
    elif instruction == "RUN":
        stage.runs.append(rest)
    elif instruction in {"USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}:
        stage.said[instruction] = rest
    else:
        raise ValueError(f"This reader does not know {instruction}.")


class Ignored:
    """Which paths of the context a .dockerignore keeps from the build: the last line that matches a path decides."""

    def __init__(self, file: Path):
        lines = [line.strip() for line in file.read_text().splitlines()]
        self._rules = [
            (_expression(line.removeprefix("!").strip("/")), not line.startswith("!"))
            for line in lines
            if line and not line.startswith("#")
        ]

    def __contains__(self, path: str) -> bool:
        ignored = False
        for expression, ignores in self._rules:
            if any(expression.fullmatch(part) for part in _with_parents(path)):
                ignored = ignores
        return ignored


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _expression(pattern: str) -> re.Pattern[str]:
    tokens = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(tokens.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern)))
