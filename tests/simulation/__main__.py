"""`make simulate`: carries out plans of many seeds, on all processors.

    python -m tests.simulation --seeds 200 --steps 60           seeds 0 to 199
    python -m tests.simulation --seeds 200 --fresh              others each time
    python -m tests.simulation --seed 17 --verbose              one, with all that happens

The first seed that fails is printed, with as few of its steps as still fail. Exit status 1 then.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import SystemRandom

from tests.simulation.plan import GROUPS, Plan, draw, shrink
from tests.simulation.run import Outcome, simulate

_FRESH_SEEDS = 2**48


def main() -> int:
    """The program; its exit status."""
    options = _options()
    if options.seed is not None:
        outcome = simulate(draw(options.seed, options.steps, options.groups), is_verbose=True)
        print(outcome.failure or "all is well", outcome.fingerprint)
        return 1 if outcome.failure else 0
    random = SystemRandom()
    seeds = [
        random.randrange(_FRESH_SEEDS) if options.fresh else options.first + number
        for number in range(options.seeds)
    ]
    begun_s = time.perf_counter()
    run = partial(_run, options.steps, options.groups)
    with ProcessPoolExecutor(options.jobs) as pool:
        for seed, outcome in zip(seeds, pool.map(run, seeds, chunksize=4), strict=True):
            if outcome.failure:
                pool.shutdown(wait=False, cancel_futures=True)
                _report(draw(seed, options.steps, options.groups), outcome)
                return 1
    took_s = time.perf_counter() - begun_s
    print(f"{len(seeds)} runs of {options.steps} steps, nothing found, in {took_s:.0f} s")
    return 0


def _run(steps: int, groups: list[str], seed: int) -> Outcome:
    return simulate(draw(seed, steps, groups))


def _report(plan: Plan, outcome: Outcome) -> None:
    """Print what failed, and the fewest steps that still fail."""
    groups = f" --groups {plan.setting.group}"
    print(f"seed {plan.seed} fails:\n{outcome.failure}\nLeaving out steps ...", flush=True)
    shrunk = shrink(plan, lambda each: bool(simulate(each).failure))
    print(f"{simulate(shrunk).failure}\nwith {plan.setting}\nand these steps:")
    for step in shrunk.steps:
        print(f"    {step},")
    print(f"Again: python -m tests.simulation --seed {plan.seed} --steps {len(plan.steps)}{groups}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--fresh", action="store_true", help="draw the seeds anew")
    parser.add_argument("--seed", type=int, help="this one only, with all that happens")
    parser.add_argument("--steps", type=int, default=60, help="of one run")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS, help="of servers")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
