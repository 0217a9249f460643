"""Measures the platform beside its peers, in alternation, and prints tables (`python -m benchmarks.beside`).

In each round each of them has its turn on a new stack; the next round begins with the next of them.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from benchmarks.aims import Record
from benchmarks.comparison import comparison, counting, draw_comparison
from benchmarks.load import check_client
from benchmarks.machine import machine
from benchmarks.peers.installing import install
from benchmarks.peers.peer import PEERS
from benchmarks.rounds import PLATFORM, WORKLOADS, play
from jobplatform.errors import PlatformError

_INTERRUPTED: Final = 130


def main() -> int:
    given = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if given.show is not None:
        shown = [json.loads(line) for line in given.show.read_text().splitlines()]
        print(_tables(shown, given.others))
        _draw(given, shown)
        return 0
    records: list[Record] = []
    code = _measure(given, records)
    if len(records) > 1:
        print(_tables(records, given.others))
        _draw(given, records)
    return code


def _measure(given: argparse.Namespace, records: list[Record]) -> int:
    """Fill the records, as far as it goes, and give an exit code."""
    try:
        check_client()
        install(PEERS[name] for name in given.peers)
        with given.json.open("w") if given.json is not None else nullcontext() as file:
            for record in _records(given):
                records.append(record)
                if file is not None:
                    print(json.dumps(record), file=file, flush=True)
    except (PlatformError, OSError) as error:
        print(f"Cannot measure: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _records(given: argparse.Namespace) -> Iterator[Record]:
    contenders = [PLATFORM, *given.peers]
    yield {"with": machine(PEERS[name] for name in given.peers), "scale": given.scale}
    for number in range(1, given.rounds + 1):
        first = (number - 1) % len(contenders)
        for who in contenders[first:] + contenders[:first]:
            print(f"Round {number} of {given.rounds}: {who}.", file=sys.stderr, flush=True)
            for workload, measured in play(who, set(given.workloads), given.scale).items():
                yield {"round": number, "who": who, "workload": workload, **measured}


def _draw(given: argparse.Namespace, records: Sequence[Record]) -> None:
    if given.plots is not None:
        draw_comparison(records if given.others is None else counting(records, given.others), given.plots)


def _tables(records: Sequence[Record], others: float | None) -> str:
    if others is None:
        return comparison(records)
    left = counting(records, others)
    return f"{len(records) - len(left)} of {len(records)} measurements do not count.\n\n{comparison(left)}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    parser.add_argument(
        "--peers", type=_names(PEERS), default=list(PEERS), help=f"some of {','.join(PEERS)} (default: all)"
    )
    parser.add_argument(
        "--workloads", type=_names(WORKLOADS), default=list(WORKLOADS), help=f"some of {','.join(WORKLOADS)}"
    )
    parser.add_argument("--rounds", type=_positive, default=3, help="medians are printed (default: 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="how many jobs, as a factor (default: 1.0)")
    parser.add_argument(
        "--others", type=float, help="leave out what was measured while other work took more cores than this"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured, one line of JSON for each")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw a picture of each workload there")
    parser.add_argument(
        "--show", type=Path, metavar="FILE", help="measure nothing, and print the tables of such a file"
    )
    return parser.parse_args()


def _names(known: Any) -> Any:
    def names(text: str) -> Sequence[str]:
        given = [name for name in text.split(",") if name]
        if unknown := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(known)}")
        return [name for name in known if name in given]

    return names


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of rounds")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
