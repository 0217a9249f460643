"""The command line of the torture."""

import argparse
import random
import signal
from collections.abc import Sequence
from datetime import datetime

from jobplatform.torture.faults import FAULTS
from jobplatform.torture.plan import SHORT, STANDARD, deck_of
from jobplatform.torture.run import SETTINGS, Order, run
from jobplatform.torture.stack import Shape


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--seed", type=int, help="repeat the faults and the load of a run")
    parser.add_argument("--jobs", type=int, default=10_000, help="how many jobs are submitted (10000)")
    parser.add_argument("--minutes", type=float, default=6.0, help="for how long they are, and faults are done (6)")
    parser.add_argument("--faults", default="", help=f"only these, separated by commas: {', '.join(FAULTS)}")
    parser.add_argument("--short", action="store_true", help="a few cheap faults in half a minute")
    parser.add_argument("--deadline", type=float, default=120.0, help="seconds for the healed stack to end all (120)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with data and logs")
    parser.add_argument("--baseline", action="store_true", help="the same to plain Dramatiq")


def torture(given: argparse.Namespace, words: Sequence[str]) -> int:
    """Run it, print the report. 1 where an invariant is broken."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what it started is stopped
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1, 100_000)
    names = [name.strip() for name in given.faults.split(",") if name.strip()]
    deck = deck_of(names) if names else (SHORT if given.short else STANDARD)
    repeat = _without_seed(words)
    order = Order(
        seed=seed,
        jobs=300 if given.short and given.jobs == 10_000 else given.jobs,
        seconds=15.0 if given.short else 60 * given.minutes,
        deadline=given.deadline,
        deck=deck,
        shape=Shape(settings=tuple(SETTINGS.items())),
        repeat=" ".join(("python -m jobplatform torture", *repeat, f"--seed {seed}")),
        keep=given.keep,
    )
    say = lambda line: print(f"{datetime.now():%H:%M:%S} {line}", flush=True)  # noqa: E731, DTZ005
    if given.baseline:
        from jobplatform.torture.baseline import run_baseline

        report = run_baseline(order, say)
    else:
        report = run(order, say)
    print(f"\n{report.text()}", flush=True)
    return 0 if report.sound else 1


def _without_seed(words: Sequence[str]) -> list[str]:
    kept = [word for word in words if not word.startswith("--seed=")]
    if "--seed" in kept:
        place = kept.index("--seed")
        del kept[place : place + 2]
    return kept
