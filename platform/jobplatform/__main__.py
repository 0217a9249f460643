"""The command line: ``python -m jobplatform COMMAND``."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from jobplatform.api_key import SCOPES
from jobplatform.errors import PlatformError
from jobplatform.settings import settings

#: As a shell tells of SIGPIPE, from which other commands die then.
_UNHEARD: Final = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Its exit code: 0, 1 with one line on stderr, 2 for a wrong command line, or a signal's."""
    parser = argparse.ArgumentParser(prog="python -m jobplatform", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (command, purpose) in _COMMANDS.items():
        commands.add_parser(name, help=purpose, description=purpose).set_defaults(command=command)
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["torture"]:
        _add_torture(commands, given[1:])
    else:
        commands.add_parser("torture", help=_TORTURE)
    _add_key(commands.add_parser("key", help=_KEY, description=_KEY), given)
    _add_jobs(commands.add_parser("jobs", help=_JOBS, description=_JOBS), given)
    chosen: Callable[[], int] = parser.parse_args(given).command
    try:
        code = chosen()
        sys.stdout.flush()
    except BrokenPipeError:
        return _end_unheard()
    except PlatformError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _end_unheard() -> int:
    """Whoever read the output has seen enough (``… | head``). The interpreter would try again to write the rest."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _UNHEARD


def _migrate() -> int:
    from jobplatform.migrate import migrate

    if not (url := settings().database_url):
        raise PlatformError("DATABASE_URL is not set: which database shall be migrated?")
    applied = migrate(url)
    print(f"Applied: {', '.join(map(str, applied))}." if applied else "The schema is up to date.")
    return 0


def _keeper() -> int:
    from jobplatform.keeper import main as keep

    return keep()


def _up() -> int:
    from jobplatform.local.log import Log
    from jobplatform.local.stack import up

    up(settings(), Log(sys.stdout))
    return 0


def _demo() -> int:
    from jobplatform.demo import demo

    return demo(settings())


def _add_torture(commands: Any, words: Sequence[str]) -> None:
    """Its arguments name the faults that there are: only who asks for it loads them."""
    from jobplatform.torture.command import add_arguments, torture

    parser = commands.add_parser("torture", help=_TORTURE, description=_TORTURE)
    add_arguments(parser)
    parser.set_defaults(command=lambda: torture(parser.parse_args(words), words))


def _add_key(parser: Any, words: Sequence[str]) -> None:
    parser.add_argument("name", metavar="NAME", help="whose it is: transitions name it")
    parser.add_argument("scopes", metavar="SCOPES", help="what for: one of these, or several, such as submit+read")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "scopes:\n" + "\n".join(f"  {scope:<9} {lets}" for scope, lets in SCOPES.items())
    parser.set_defaults(command=lambda: _key(parser.parse_args(words[1:])))


def _key(given: argparse.Namespace) -> int:
    from jobplatform.api_key import new_key

    try:
        key, entry = new_key(given.name, given.scopes)
    except ValueError as error:
        raise PlatformError(f"Cannot make a key: it {error}.") from None
    print(f"The key, which is kept nowhere:      {key}")
    print(f"Its entry in API_KEYS of the API:    {entry}")
    return 0


def _add_jobs(parser: Any, words: Sequence[str]) -> None:
    """Its client takes a while to load: only who asks for it does."""
    if words[:1] == ["jobs"]:
        from jobplatform.job_commands import add_arguments, run

        add_arguments(parser)
        parser.set_defaults(command=lambda: run(parser.parse_args(words[1:]), settings()))


_KEY: Final = "make a key for the API: prints it, this once, and its entry for API_KEYS"
_JOBS: Final = "submit, list, watch, explain, cancel and retry jobs of a platform that runs, and fetch what they made"
_TORTURE: Final = "hurt a whole platform of its own in every way, and prove that nothing is lost"

_COMMANDS: Final[dict[str, tuple[Callable[[], int], str]]] = {
    "migrate": (_migrate, "bring the database of DATABASE_URL up to the schema of this version"),
    "keeper": (_keeper, "run a keeper alone: it releases due jobs, sends hints again, rescues jobs of dead workers"),
    "up": (_up, "run the whole platform on this machine, until Ctrl-C"),
    "demo": (_demo, "submit the seed jobs and show their lives as they happen"),
}

if __name__ == "__main__":
    sys.exit(main())
