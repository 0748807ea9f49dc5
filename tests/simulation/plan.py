"""What happens in a run: drawn from a seed beforehand, as plain data; any steps may be left out.

A step names servers and clients by number; one that is not there is another, by the remainder. So a
plan with some steps left out still makes sense, and what is left of a failing one can be printed
and carried out again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from reality.core.keys import ancestors, is_pattern

KEYS = ("a", "a:1", "a:2", "a:2:x", "b:1", "c")
# Touched, but never asked for; they push others out of memory.
OTHERS = tuple(f"d:{number}" for number in range(6))
PATTERNS = ("*", "a:*", "a:2:*", "b:*", "d:*")
# Their data is also changed together with its hash, by one writer at a time.
HASHED = ("b:1", "c")

GROUPS = ("memory", "store", "mesh", "mesh", "mixed")

SERVERS_MAX = 5
# Shorter than by default, so that what is left over from faults ends soon.
WAIT_S_MAX = 8.0
TIMEOUT_S_MAX = 5.0
# Things happen in bursts: half of the steps follow upon another at once.
_PAUSES = 0.5
_PAUSE_S_MAX = 1.5
_BURST_S = 0.05


@dataclass(frozen=True)
class Step:
    """One thing that happens.

    Attributes:
        number: its place in the plan it was drawn in; what is still open is drawn from it.
        at_s: when, in virtual seconds from the start.
        what: a method of `tests.simulation.world.World` without its `do_`.
        args: of that method.
    """

    number: int
    at_s: float
    what: str
    args: dict[str, Any]


@dataclass(frozen=True)
class ClientSetting:
    """How one client is: `live` and `wait_s` as `AsyncRealityClient` has them.

    Attributes:
        keys: what it is subscribed to at first.
        is_balanced: whether it asks through a load balancer, which hops at every request.
    """

    keys: tuple[str, ...]
    live: Any
    wait_s: float
    timeout_s: float
    is_balanced: bool


@dataclass(frozen=True)
class Setting:
    """What is there when a run begins.

    Attributes:
        group: how the servers are joined; see `GROUPS`.
        servers: how many there are at first.
        nodes_max: how many nodes each keeps in memory.
        has_clocks: whether their wall clocks go on while they are down; if not, every run of theirs
            begins at the same time, and versions of one run are those of another.
        clients: all there will be.
        has_hints: whether they have an accelerator.
        has_small_pages: whether a message of the mesh has room for a few names only.
    """

    group: str
    servers: int
    nodes_max: int
    has_clocks: bool
    clients: tuple[ClientSetting, ...]
    has_hints: bool = False
    has_small_pages: bool = False


@dataclass(frozen=True)
class Plan:
    """A whole run."""

    seed: int
    setting: Setting
    steps: tuple[Step, ...] = field(repr=False)


def covered(names: Sequence[str]) -> list[str]:
    """The keys whose data changes when these names are touched."""
    return [key for key in KEYS if {key, *ancestors(key)} & set(names)]


def draw(seed: int, steps: int, groups: Sequence[str] = GROUPS) -> Plan:
    """The plan of a seed."""
    random = Random(f"{seed} plan")
    # Drawn apart, so that one group alone has the plans that it has among others.
    group = Random(f"{seed} kind").choice(groups)
    setting = _setting(random, group)
    makers = _MAKERS | _OF_GROUP[setting.group]
    whats = random.choices(list(makers), [weight for weight, _ in makers.values()], k=steps)
    drawn = []
    at_s = 0.5
    for number, what in enumerate(whats):
        at_s += random.uniform(0, _PAUSE_S_MAX if random.random() < _PAUSES else _BURST_S)
        drawn.append(Step(number, round(at_s, 3), what, makers[what][1](random)))
    return Plan(seed, setting, tuple(drawn))


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """As few of a failing plan's steps as can be found that still fail (delta debugging).

    Leaves out halves, quarters and so on, down to single steps, as long as that helps.
    """
    steps = list(plan.steps)
    size = max(1, len(steps) // 2)
    while steps:
        at = 0
        before = len(steps)
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if fails(_with(plan, fewer)):
                steps = fewer
            else:
                at += size
        if size == 1 and len(steps) == before:
            break
        size = max(1, min(size // 2, len(steps) // 2))
    return _with(plan, steps)


def _with(plan: Plan, steps: Sequence[Step]) -> Plan:
    return Plan(plan.seed, plan.setting, tuple(steps))


# ---- what can be drawn ---------------------------------------------------------------------------


def _setting(random: Random, group: str) -> Setting:
    return Setting(
        group=group,
        servers=1 if group == "memory" else random.randint(2, 4),
        nodes_max=random.choice([1_000, 1_000, 4, 8]),
        has_clocks=random.random() < 0.6,
        clients=tuple(_client(random) for _ in range(random.randint(2, 4))),
        has_hints=group != "memory" and random.random() < 0.5,
        has_small_pages=random.random() < 0.3,
    )


def _client(random: Random) -> ClientSetting:
    return ClientSetting(
        keys=tuple(random.sample(KEYS, random.randint(1, len(KEYS)))),
        live=random.choice(["auto", "auto", "auto", "poll", False]),
        wait_s=random.choice([2.0, WAIT_S_MAX]),
        timeout_s=random.choice([2.0, TIMEOUT_S_MAX]),
        is_balanced=random.random() < 0.5,
    )


def _which(random: Random) -> int:
    return random.randrange(60)  # divides by 1 to 5


def _who(random: Random) -> str:
    """A host: of servers (s) and clients (c)."""
    return f"{random.choice('ssc')}{_which(random)}"


def _seconds(random: Random, least: float, most: float) -> float:
    """Mostly short, sometimes long."""
    return round(least + (most - least) * random.random() ** 2, 3)


def _names(random: Random) -> list[str]:
    names = [*KEYS, *KEYS, *PATTERNS, *OTHERS]
    return list(dict.fromkeys(random.choice(names) for _ in range(random.randint(1, 3))))


def _write(random: Random) -> dict[str, Any]:
    verb = random.choice(["invalidate"] * 5 + ["update", "update", "delete"])
    names = _names(random)
    if verb == "update":
        names = [random.choice(HASHED)]
    elif verb == "delete":
        names = [next((each for each in names if not is_pattern(each)), "c")]
    return {
        "verb": verb,
        "names": names,
        "server": _which(random),
        "remote": verb == "invalidate" and random.random() < 0.2,
    }


def _link_fault(random: Random) -> dict[str, Any]:
    kind = random.choice(["cut", "cut", "loss", "duplication", "delay"])
    return {
        "kind": kind,
        "amount": {"cut": True, "delay": random.choice([0.2, 3.0])}.get(kind, random.random()),
        "host": _who(random),
        "other": random.choice([None, None, _who(random)]),
        "way": random.choice(["to", "from", "both", "both"]),
        "seconds": _seconds(random, 0.1, 20),
    }


Maker = Callable[[Random], dict[str, Any]]

_MAKERS: dict[str, tuple[int, Maker]] = {
    "write": (30, _write),
    "subscribe": (4, lambda r: {"client": _which(r), "key": r.choice(KEYS)}),
    "unsubscribe": (2, lambda r: {"client": _which(r), "key": r.choice(KEYS)}),
    "sync_keys": (
        5,
        lambda r: {"client": _which(r), "keys": r.sample(KEYS, r.randint(1, 3))},
    ),
    "restart_client": (
        5,
        lambda r: {
            "client": _which(r),
            "down_s": _seconds(r, 0.1, 10),
            **r.choice([{}, {"keeps": True}, {"keeps": True}, {"hydrates": True}]),
        },
    ),
    "disturb_link": (12, _link_fault),
    "pause": (3, lambda r: {"host": _who(r), "seconds": _seconds(r, 0.1, 15)}),
    "slow_down": (
        2,
        lambda r: {"host": _who(r), "slow_s": _seconds(r, 0.1, 3), "seconds": _seconds(r, 1, 20)},
    ),
    "jump_clock": (3, lambda r: {"host": _who(r), "offset_s": round(r.uniform(-30, 30), 3)}),
    "crash": (4, lambda r: {"server": _which(r), "down_s": _seconds(r, 0.05, 12)}),
    "restart": (2, lambda r: {"server": _which(r), "down_s": _seconds(r, 0.05, 3)}),
    "roll": (1, lambda r: {"down_s": _seconds(r, 0.05, 2)}),
    "fork": (2, lambda r: {"server": _which(r), "parent_s": r.choice([0.0, _seconds(r, 0.1, 5)])}),
}

_SERVERS: dict[str, tuple[int, Maker]] = {
    "add_server": (2, lambda _: {}),
    "retire_server": (1, lambda r: {"server": _which(r)}),
    "lose_server": (1, lambda r: {"server": _which(r)}),
    "break_hints": (
        2,
        lambda r: {
            "loss": r.choice([0.3, 1.0]),
            "is_down": r.random() < 0.5,
            "seconds": _seconds(r, 0.1, 15),
        },
    ),
}
_STORE: dict[str, tuple[int, Maker]] = {
    "fail_store": (
        3,
        lambda r: {
            "server": r.choice([None, _which(r)]),
            "rate": r.choice([0.2, 1.0]),
            "seconds": _seconds(r, 0.1, 10),
        },
    ),
    "fill_store": (1, lambda r: {"seconds": _seconds(r, 0.1, 6)}),
    "delay_store": (
        2,
        lambda r: {"delay_s": r.choice([0.05, 0.5, 20.0]), "seconds": _seconds(r, 0.1, 15)},
    ),
    "back_up": (3, lambda _: {}),
    "restore": (2, lambda r: {"backup": _which(r), "is_told": r.random() < 0.3}),
    "clone": (1, lambda r: {"backup": _which(r)}),
}

_OF_GROUP: dict[str, dict[str, tuple[int, Maker]]] = {
    "memory": {},
    "store": _SERVERS | _STORE,
    "mesh": _SERVERS,
    "mixed": _SERVERS | _STORE,
}
