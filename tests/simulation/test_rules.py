"""Each rule is needed, and the simulator shows it: with the rule switched off, it finds a loss.

A scene is a plan written by hand: who is there, and what happens when. It is played twice, with all
rules in force and with one switched off by `tests.simulation.broken`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random
from typing import Any, NamedTuple

import pytest

from tests.simulation import broken
from tests.simulation.plan import KEYS, ClientSetting, Plan, Setting, Step
from tests.simulation.run import simulate

SEED = 1


class Scene(NamedTuple):
    """What shows that a rule is needed.

    Attributes:
        without: switches the rule off.
        found: the invariant that is found broken then.
        plan: what happens.
    """

    without: Callable[[], AbstractContextManager[None]]
    found: str
    plan: Plan


def asks_when_told(*keys: str) -> ClientSetting:
    """A client that asks when it begins, when a step says so, and in the end."""
    return ClientSetting(keys, live=False, wait_s=2.0, timeout_s=2.0, is_balanced=False)


def waits(*keys: str) -> ClientSetting:
    """A client that always holds a request."""
    return ClientSetting(keys, live="auto", wait_s=8.0, timeout_s=2.0, is_balanced=False)


def plan(
    group: str,
    clients: list[ClientSetting],
    *events: tuple[float, str, dict[str, Any]],
    **setting: Any,
) -> Plan:
    """A plan of one server, which is all that clients know, and of events: when, what, and how."""
    options = {"servers": 1, "nodes_max": 1_000, "has_clocks": True, **setting}
    steps = [
        Step(args.pop("number", number), at_s, what, args)
        for number, (at_s, what, args) in enumerate(events)
    ]
    return Plan(SEED, Setting(group=group, clients=tuple(clients), **options), tuple(steps))


def write(at_s: float, server: int, *names: str, **more: Any) -> tuple[float, str, dict[str, Any]]:
    """Data changes, and a server is told."""
    args = {"verb": "invalidate", "names": list(names), "server": server, "remote": False}
    return at_s, "write", {**args, **more}


def update(at_s: float, key: str) -> tuple[float, str, dict[str, Any]]:
    """The data of a key becomes what it once was, and the first server is told its hash."""
    # Whether it does is drawn from the step's number.
    number = next(each for each in range(100, 999) if Random(f"{SEED} {each}").random() < 0.3)
    return write(at_s, 0, key, verb="update", number=number)


def asks(at_s: float, *keys: str) -> tuple[float, str, dict[str, Any]]:
    """The first client asks. As the last step: faults go on until then."""
    return at_s, "sync_keys", {"client": 0, "keys": list(keys)}


def cut(at_s: float, seconds: float, other: str | None = None, way: str = "both") -> Any:
    """The second server is cut off from all others, or another."""
    fault = {"kind": "cut", "amount": True, "host": "s1", "other": other, "way": way}
    return at_s, "disturb_link", {**fault, "seconds": seconds}


JOINS: tuple[float, str, dict[str, Any]] = (0.5, "add_server", {})
LOST: tuple[str, dict[str, Any]] = "lose_server", {"server": 1}

SCENES = [
    # It is removed while it lives on; what it is told after that dies with it.
    Scene(
        broken.removal_by_suspicion,
        "I1",
        plan(
            "mesh",
            [asks_when_told("a")],
            JOINS,
            cut(2, 30),
            asks(11, "a"),
            write(15, 1, "a"),
            (16, *LOST),
            asks(28, "a"),
        ),
    ),
    # It dies with what nobody else has heard.
    Scene(
        broken.nobody_removes,
        "I1",
        plan(
            "mesh",
            [asks_when_told("a")],
            JOINS,
            asks(2, "a"),
            cut(3, 30),
            write(4, 1, "a"),
            (5, *LOST),
            asks(17, "a"),
        ),
    ),
    # Parent and child each do something of their own as the second touch of the same origin.
    Scene(
        broken.shared_nonce,
        "I8",
        plan(
            "mesh",
            [asks_when_told("a", "c")],
            JOINS,
            write(2, 1, "b:1"),
            (3, "fork", {"server": 1, "parent_s": 2.0}),
            write(4, 1, "a"),
            cut(4.5, 20),
            write(18, 1, "c"),
            asks(22, "c"),
        ),
    ),
    # A touch is lost, and the next has the same sequence and makes the same version.
    Scene(
        broken.restore_unnoticed,
        "I1",
        plan(
            "store",
            [asks_when_told("a")],
            write(1, 0, "a"),
            asks(2, "a"),
            (3, "restore", {"backup": 0, "is_told": False}),
            write(5, 0, "a"),
        ),
    ),
    # What is touched is dropped from memory before the client asks.
    Scene(
        broken.eviction_is_no_record,
        "I1",
        plan(
            "store",
            [asks_when_told("a")],
            write(1, 0, "a"),
            write(2, 0, *(f"d:{number}" for number in range(6))),
            nodes_max=4,
        ),
    ),
    # What the store has lost is the touch of data that the client holds with the hash kept.
    Scene(
        broken.absent_is_zero,
        "I1",
        plan(
            "store",
            [asks_when_told("b:1")],
            update(1, "b:1"),
            asks(2, "b:1"),
            (3, "back_up", {}),
            write(4, 0, "b:1"),
            (5, "restore", {"backup": 1, "is_told": True}),
        ),
    ),
    # The only hint is lost, and who has sent it is gone.
    Scene(
        broken.accelerator_trusted,
        "I1",
        plan(
            "store",
            [asks_when_told("a")],
            JOINS,
            (2, "break_hints", {"loss": 1.0, "is_down": False, "seconds": 2.0}),
            write(3, 1, "a"),
            (4, *LOST),
            asks(16, "a"),
            has_hints=True,
        ),
    ),
    # What is left says nothing of the key.
    Scene(
        broken.record_deleted,
        "I1",
        plan(
            "memory",
            [asks_when_told("a")],
            write(1, 0, "a"),
            asks(2, "a"),
            write(3, 0, "a", verb="delete"),
        ),
    ),
    # A touch comes between a look and the wait; the bursts at the end of every run are enough.
    Scene(broken.waiter_late, "I1", plan("memory", [waits(*KEYS) for _ in range(16)])),
    # A batch is split over pages.
    Scene(
        broken.every_page_counts,
        "I1",
        plan(
            "mesh",
            [asks_when_told(*KEYS)],
            JOINS,
            asks(2, *KEYS),
            write(6, 1, *KEYS),
            has_small_pages=True,
        ),
    ),
    # A server that has lost its memory hears what is new, but cannot ask for what is not.
    Scene(
        broken.gap_unchecked,
        "I8",
        plan(
            "mesh",
            [asks_when_told("a")],
            JOINS,
            write(2, 0, "a"),
            (3, "crash", {"server": 1, "down_s": 1.0}),
            cut(3.5, 20, "s0", "to"),
            write(3.7, 0, "c"),
            asks(22, "a"),
        ),
    ),
    # A server does not hear that its news has come, and sends it again with more.
    Scene(
        broken.applied_twice,
        "I8",
        plan(
            "mesh",
            [asks_when_told("a")],
            JOINS,
            cut(2, 5, "s0", "to"),
            write(2.1, 0, "a"),
            write(3, 0, "c"),
            asks(6, "a"),
        ),
    ),
    # Data is fetched that nobody has been told of yet, and then becomes again what was told.
    Scene(
        broken.told_hash_trusted,
        "I1",
        plan(
            "store",
            [asks_when_told("a")],
            update(1, "b:1"),
            (2, "fill_store", {"seconds": 5.0}),
            write(3, 0, "b:1"),
            (4, "subscribe", {"client": 0, "key": "b:1"}),
            update(9, "b:1"),
        ),
    ),
    # A key is touched while a page is rendered.
    Scene(
        broken.position_after_data,
        "I1",
        plan(
            "memory",
            [asks_when_told("a")],
            (1, "restart_client", {"client": 0, "down_s": 2.0, "hydrates": True}),
            write(2, 0, "a"),
        ),
    ),
    # A key is touched and fetched after the client has written down its data.
    Scene(
        broken.cursor_kept_apart,
        "I1",
        plan(
            "memory",
            [waits("a")],
            (2, "restart_client", {"client": 0, "down_s": 1.0, "keeps": True}),
            write(2.1, 0, "a"),
            asks(9, "a"),
        ),
    ),
]
_each_rule = pytest.mark.parametrize(
    "scene", SCENES, ids=[scene.without.__name__ for scene in SCENES]
)


@_each_rule
def test_the_rules_as_they_are_do_no_harm(scene: Scene) -> None:
    """I1, I2, I4, I8: with every rule in force nothing is found in the scene."""
    assert simulate(scene.plan).failure == ""


@_each_rule
def test_the_simulator_finds_what_is_lost_without_a_rule(scene: Scene) -> None:
    """I1, I8: the same scene with one rule switched off loses a change, or servers differ."""
    with scene.without():
        assert scene.found in simulate(scene.plan).failure
