"""Measures the real stack, a few rounds of all workloads, and prints its bill beside the prototype's."""

import argparse
import json
import sys

from benchmarks import workloads
from benchmarks.load import check_client
from benchmarks.report import report
from benchmarks.stack import WARM_UP, running_stack
from benchmarks.workloads import Measured
from jobplatform.errors import PlatformError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="each on a new stack; medians are printed (default: 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="how many jobs, as a factor (default: 1.0)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each round in place of tables")
    arguments = parser.parse_args()
    try:
        check_client()
        rounds = []
        for number in range(1, arguments.rounds + 1):
            print(f"Round {number} of {arguments.rounds}.", file=sys.stderr, flush=True)
            rounds.append(_round(arguments.scale))
            if arguments.json:
                print(json.dumps(rounds[-1]), flush=True)
    except PlatformError as error:
        print(f"Cannot measure: {error}", file=sys.stderr)
        return 1
    if not arguments.json:
        print(report(rounds))
    return 0


def _round(scale: float) -> dict[str, Measured]:
    def some(count: int) -> int:
        return max(10, int(count * scale))

    with running_stack() as (stack, connection):
        workloads.accept(stack, connection, WARM_UP)
        w0 = workloads.yardstick(stack, connection, some(10_000))
        w1 = workloads.accept(stack, connection, some(5_000))
        w3 = workloads.drain(stack, connection)
        w2 = workloads.end_to_end(stack, connection, some(3_000))
        w4 = workloads.read(stack, connection, some(10_000))
        w5 = workloads.pick_up(stack, connection, some(200))
        w6 = workloads.idle(stack, connection, 10 * min(1.0, scale))
        stack.stop_worker()
        memory = {
            f"payload_{size}_bytes": workloads.redis_memory(stack, connection, size, some(200))
            for size in (100, 100_000)
        }
        return {"w0": w0, "w1": w1, "w2": w2, "w3": w3, "w4": w4, "w5": w5, "w6": w6, "redis_memory": memory}


if __name__ == "__main__":
    sys.exit(main())
