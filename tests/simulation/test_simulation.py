from __future__ import annotations

import os
import subprocess
import sys
from random import SystemRandom

import pytest

from tests.simulation.plan import Plan, Step, draw, shrink
from tests.simulation.run import simulate

pytestmark = pytest.mark.slow

STEPS = 24
# `make simulate` runs as many more as there is time for.
SEEDS = 160
FRESH_SEEDS = 20

FINGERPRINTS = """
from tests.simulation.plan import draw
from tests.simulation.run import simulate
print(*(simulate(draw(seed, 30)).fingerprint for seed in range(8)))
"""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_lost_whatever_happens(seed: int) -> None:
    """I1, I2, I4, I8: real servers and clients get over every fault that a seed can draw."""
    assert simulate(draw(seed, STEPS)).failure == ""


@pytest.mark.parametrize("number", range(FRESH_SEEDS))
def test_nothing_is_lost_whatever_else_happens(number: int) -> None:
    """I1, I2, I4, I8: and over those of seeds that nobody has tried before."""
    seed = SystemRandom().randrange(2**48)

    failure = simulate(draw(seed, STEPS)).failure

    again = f"again: python -m tests.simulation --seed {seed} --steps {STEPS}"
    assert not failure, f"{failure}\n{again}"


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    """A run depends on its seed only, not on the hashes that Python draws for a process."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FINGERPRINTS],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    # Both have begun, so they run at once.
    runs = [process.communicate()[0].split() for process in processes]

    assert [0, 0] == [process.returncode for process in processes]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 8


def test_a_failing_plan_is_shrunk_to_the_steps_that_matter() -> None:
    """Leaving out steps ends with those without which the plan does not fail."""
    plan = draw(1, STEPS)
    needed = [plan.steps[number] for number in (3, 11, 20)]

    def fails(plan: Plan) -> bool:
        return all(step in plan.steps for step in needed)

    assert list(shrink(plan, fails).steps) == needed


def test_a_step_can_be_printed_and_carried_out_again() -> None:
    """What is printed of a failing plan is Python that makes the same steps."""
    for step in draw(2, STEPS).steps:
        assert eval(repr(step), {"Step": Step}) == step  # noqa: S307
