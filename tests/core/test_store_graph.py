from __future__ import annotations

from collections.abc import Iterable

import pytest

from reality.core.changelog import Appended, Changes, Head, Logged, Opening
from reality.core.cursor import Cursor, Position, encode_cursor
from reality.core.delta import Touched
from reality.core.store_graph import StoreGraph, Told, Verdict

ORIGIN = "store@one"


def at(sequence: int, tag: int | None = None) -> Position:
    return Position(sequence, (sequence * 7 if tag is None else tag) if sequence else 0)


def head(position: Position, *, lineage: str = "one", register: int = 0, touches: int = 9) -> Head:
    return Head("store", lineage, position, register, touches)


def touched(name: str, sequence: int, touches: int = 1) -> Touched:
    return Touched(name, sequence, touches, "", 1_000 + sequence, False)


def logged(sequence: int, *names: str, tag: int | None = None) -> Logged:
    return Logged(at(sequence, tag), tuple(touched(each, sequence) for each in names))


def opened(sequence: int = 5, *, oldest: int = 1) -> StoreGraph:
    """The graph of a store at this sequence, with nothing in memory."""
    recent = tuple(at(each) for each in range(oldest, sequence + 1))
    return StoreGraph(Opening(head(at(sequence)), recent))


def cursor(position: Position) -> str:
    return encode_cursor(Cursor({ORIGIN: position}))


def knowing(*names: str, sequence: int = 5) -> StoreGraph:
    """A graph that has read these names, which nobody has touched."""
    graph = opened(sequence)
    assert graph.learn(graph.lacks(names), {})
    return graph


# ---- what a look at the log says -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        (Changes(head(at(5)), (logged(5),)), Verdict.FITS),
        (Changes(head(at(7)), (logged(5), logged(6, "a"))), Verdict.FITS),
        (Changes(head(at(5), lineage="two"), (logged(5),)), Verdict.REPLACED),
        (Changes(head(at(4)), ()), Verdict.CONTRADICTED),
        (Changes(head(at(5, 1)), (logged(5, tag=1),)), Verdict.CONTRADICTED),
        (Changes(head(at(9)), (logged(5, tag=1), logged(6))), Verdict.CONTRADICTED),
        (Changes(head(at(20_000)), ()), Verdict.LOST_TOUCH),
    ],
)
def test_the_log_goes_on_or_not(changes: Changes, verdict: Verdict) -> None:
    """A store is followed only as long as it has what the graph has seen of it."""
    assert opened(5).judge(changes, at(5)) is verdict


def test_an_empty_store_is_followed_from_its_first_batch() -> None:
    """Before the first batch there is no tag to compare."""
    graph = opened(0)

    assert graph.judge(Changes(head(at(0)), ()), at(0)) is Verdict.FITS
    assert graph.judge(Changes(head(at(1)), (logged(1, "a"),)), at(0)) is Verdict.FITS
    assert graph.judge(Changes(head(at(9_999)), (logged(3, "a"),)), at(0)) is Verdict.LOST_TOUCH


def test_what_was_appended_meanwhile_is_no_contradiction() -> None:
    """A look that began before the server's own append fits, and changes nothing."""
    graph = opened(5)
    graph.extend(Appended(head(at(6)), at(5), (logged(6, "a"),)))
    old = Changes(head(at(5)), (logged(5),))

    assert graph.judge(old, at(5)) is Verdict.FITS
    assert [] == graph.follow(old)
    assert 6 == graph.position


@pytest.mark.parametrize("after", [at(4), at(6), at(5, 1)])
def test_an_append_extends_only_what_it_follows(after: Position) -> None:
    """Where other batches, or another history, come in between, the feed has to look."""
    graph = opened(5)

    assert graph.extend(Appended(head(at(7)), after, (logged(7, "a"),))) is None
    assert 5 == graph.position


# ---- names in memory -----------------------------------------------------------------------------


def test_a_name_that_is_not_in_memory_is_lacking() -> None:
    """I1: of a name that was not read nothing is said; of one that was read, "never touched" is."""
    graph = opened()
    assert {"a:b", "*", "a:*"} == graph.lacks(["a:b"])

    graph.learn(["a:b", "*", "a:*"], {"a:*": touched("a:*", 2, 3)})

    assert set() == graph.lacks(["a:b"])
    assert {"a:c"} == graph.lacks(["a:c"])
    assert 3 == graph.version("a:b")
    node = graph.node("a:b")
    assert node is not None
    assert 3 == node.version


def test_what_is_ahead_of_the_graph_is_not_taken_in() -> None:
    """I2: a graph knows nothing that its cursor does not account for."""
    graph = opened(5)

    assert not graph.learn(["a"], {"a": touched("a", 6)})
    assert {"a", "*"} == graph.lacks(["a"])


def test_dropped_names_are_lacking_again() -> None:
    """I1, I6: eviction makes a server forget, and know that it has forgotten."""
    graph = knowing("a", "b", "c")
    graph.follow(Changes(head(at(6)), (logged(5), logged(6, "a"))))

    graph.drop_to(1)

    assert len(graph) <= 1
    assert {"b", "c"} <= graph.lacks(["a", "b", "c"])


def test_a_read_that_a_dropped_touch_has_overtaken_is_refused() -> None:
    """I1: read, touched, dropped, then taken in: the touch would be lost."""
    graph = knowing("*")
    since = graph.own_position
    graph.follow(Changes(head(at(6)), (logged(5), logged(6, "a"))))
    assert not graph.may_have_missed(since)

    graph.drop_to(0)

    assert graph.may_have_missed(since)
    assert not graph.may_have_missed(graph.own_position)


def test_names_come_and_go_without_trace() -> None:
    """I6: memory does not grow with what was once held."""
    graph = opened(0)
    for sequence in range(1, 2_000):
        batch = logged(sequence, f"k{sequence}")
        graph.extend(Appended(head(at(sequence)), at(sequence - 1), (batch,)))
        graph.drop_to(100)

    assert len(graph) <= 100
    assert len(graph._ledger._by_application._names) <= 400


# ---- cursors -------------------------------------------------------------------------------------


def known(graph: StoreGraph, keys: Iterable[str]) -> dict[str, int]:
    return {key: graph.version(key) for key in keys}


def test_a_cursor_of_this_history_is_no_reason_to_reset() -> None:
    """I2: nothing was touched, nothing is told."""
    graph = knowing("a")
    for position in (at(0), at(3), at(5)):
        answer = graph.answer(known(graph, ["a"]), cursor(position))
        assert ({}, False) == (answer.changed, answer.reset)
        assert cursor(at(5)) == answer.cursor


@pytest.mark.parametrize("position", [at(3, 1), at(5, 1), at(6)])
def test_a_cursor_of_another_history_resets(position: Position) -> None:
    """I1: a clone's or a lost future's position proves nothing; the store's own takes its place."""
    graph = knowing("a")

    answer = graph.answer(known(graph, ["a"]), cursor(position))

    assert answer.reset
    assert {"a"} == answer.changed.keys()
    assert cursor(at(5)) == answer.cursor


def test_a_cursor_that_is_too_old_to_compare_resets() -> None:
    """I1: what cannot be shown to be of this history is taken to be of another."""
    graph = opened(50, oldest=40)
    graph.learn(graph.lacks(["a"]), {})

    assert graph.answer({"a": 0}, cursor(at(39))).reset
    assert not graph.answer({"a": 0}, cursor(at(40))).reset


def test_a_cursor_ahead_is_noticed() -> None:
    """Another server has seen more of the store; this one has to look before it answers."""
    graph = opened(5)

    assert graph.is_behind(cursor(at(6)))
    assert not graph.is_behind(cursor(at(5)))
    assert not graph.is_behind("garbage")
    assert not graph.is_behind(None)
    assert not graph.is_behind(encode_cursor(Cursor({"store@two": at(9)})))


# ---- what may not be taken back ------------------------------------------------------------------


def opening(
    position: Position,
    *,
    lineage: str = "one",
    register: int = 0,
    touches: int = 9,
    oldest: int = 1,
) -> Opening:
    recent = [at(each) for each in range(oldest, position.sequence)]
    return Opening(
        head(position, lineage=lineage, register=register, touches=touches), (*recent, position)
    )


TOLD = Told(ORIGIN, at(5), register=0, version_max=9)


@pytest.mark.parametrize(
    ("present", "allowed"),
    [
        (opening(at(5)), True),
        (opening(at(8)), True),
        (opening(at(8), lineage="two"), True),  # rotated, nothing lost
        (opening(at(4)), False),
        (opening(at(5, 1)), False),
        (opening(at(4), lineage="two"), False),
        (opening(at(4), lineage="two", register=8), False),
        (opening(at(4), lineage="two", register=9), True),
        (opening(at(60), oldest=40), True),  # the log was cut off since
        (opening(at(60), oldest=40, touches=8), False),
        (opening(at(60), oldest=40, lineage="two"), False),
        (Opening(head(at(0), lineage="new", touches=0), ()), False),
    ],
)
def test_versions_told_are_not_taken_back(present: Opening, allowed: bool) -> None:
    """I4: a store that has lost something is gone on with only above all that was told."""
    assert allowed == TOLD.allows(present)
    assert Told().allows(present)
