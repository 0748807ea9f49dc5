"""The DynamoDB store: the contract, and what may go wrong between its requests."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from multiprocessing import get_context
from typing import Any

import pytest

from reality.errors import (
    StorageBusy,
    StorageFull,
    StorageSchemaMissing,
    StorageUnavailable,
)
from reality.storage.base import Storage
from reality.storage.dynamodb import DynamoDBStorage, folding, log, reading
from reality.storage.dynamodb.items import log_key
from reality.testing.model import Model, batch, names_of
from reality.testing.promises.bench import walk, whole_log
from reality.testing.storage import Load, StorageContract
from tests.support.dynamodb import (
    DynamoDBServer,
    Line,
    new_table_name,
)

NEVER = 10**9


class TestDynamoDB(StorageContract):
    load = Load(appends=6, names=101, log=120, batches=60)

    @pytest.fixture(autouse=True)
    def _server(
        self,
        dynamodb: DynamoDBServer,
        line: Line,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.server, self.line = dynamodb, line
        # Only the outage goes through the line, which costs time.
        self.url = line.url if "failures" in request.node.name else None
        if "scan" in request.node.name or "walk" in request.node.name:
            # Often enough for these to meet folded names, and names that a fold moves away.
            monkeypatch.setattr(folding, "FOLD_WEIGHT", 64)

    def new_storage(self) -> Storage:
        return self.server.storage(url=self.url)

    def same_storage(self, storage: Storage) -> Storage:
        assert isinstance(storage, DynamoDBStorage)
        return self.server.storage(storage._table.table_name, url=self.url)

    def outage(self, storage: Storage) -> AbstractContextManager[None]:
        return self.line.cut()


@pytest.fixture
async def storage(dynamodb: DynamoDBServer) -> AsyncIterator[DynamoDBStorage]:
    storage = dynamodb.storage()
    await storage.open()
    yield storage
    await storage.close()


@asynccontextmanager
async def another(
    server: DynamoDBServer, storage: DynamoDBStorage
) -> AsyncIterator[DynamoDBStorage]:
    """Another store over the same table."""
    other = server.storage(storage._table.table_name)
    yield other
    await other.close()


# ---- a writer dies ------------------------------------------------------------------------------


class Died(BaseException):
    """What ends a writer at a request."""


def die_at(storage: DynamoDBStorage, number: int, *, done: bool) -> None:
    """From its request of this number on (0 is the next) the store does nothing more."""
    ask, count = storage._table.request, 0

    async def request(operation: str, **parameters: Any) -> Any:
        nonlocal count
        count += 1
        if count <= number or (done and count == number + 1):
            answer = await ask(operation, **parameters)
            if count <= number:
                return answer
        raise Died

    storage._table.request = request  # type: ignore[method-assign]


@pytest.mark.parametrize("done", [False, True], ids=["unsent", "unanswered"])
async def test_a_writer_may_die_at_any_request(
    dynamodb: DynamoDBServer,
    storage: DynamoDBStorage,
    monkeypatch: pytest.MonkeyPatch,
    done: bool,
) -> None:
    """I1, I4: wherever a writer dies, its append counts once or not at all, for all who look."""
    monkeypatch.setattr(folding, "FOLD_WEIGHT", 16)  # every append folds
    model, number, has_died = Model(), 0, True
    given = [batch("a", f"own:{number}"), batch("a", "b", hash="h")]
    while has_died:
        async with another(dynamodb, storage) as writer:
            die_at(writer, number, done=done)
            try:
                await writer.append(given)
                has_died = False
            except Died:
                number += 1
        head = (await storage.changes(0, limit=1)).head.position.sequence
        assert head in (model.sequence, model.sequence + 2)
        if head > model.sequence:
            for each in given:
                model.append(each)
        await check(storage, model)
    assert number >= 8  # three reads, the Put, another read, two nodes, the store item

    await storage.append([batch("a")])
    model.append(batch("a"))
    await check(storage, model)
    assert model.sequence == (await storage._reader.identity()).applied_to


async def check(storage: DynamoDBStorage, model: Model) -> None:
    assert model.nodes == await storage.read(["a", "b", "own:0"])
    listed = await walk(storage, limit=100)
    assert model.nodes == {each.name: each for each in listed}
    assert len(listed) == len(model.nodes)


async def test_a_lost_answer_is_no_second_touch(dynamodb: DynamoDBServer, line: Line) -> None:
    """I4: a Put or rotation whose answer is lost is tried again, and is done once."""
    storage = DynamoDBStorage(**dynamodb.parameters(url=line.url))
    opened = await storage.open()

    line.lose_answer(b".PutItem")
    appended = await storage.append([batch("a")])
    assert line.has_lost()
    assert (1, 1) == (appended.head.position.sequence, appended.batches[0].touched[0].touches)
    second = await storage.append([batch("a")])
    assert (appended.head.position, 2) == (second.after, (await storage.read(["a"]))["a"].touches)

    line.lose_answer(b".UpdateItem")
    rotated = await storage.rotate(opened.head.origin, register=5)
    assert line.has_lost()
    assert (opened.head.origin != rotated.origin, 5) == (True, rotated.register)
    assert rotated == await storage.rotate(opened.head.origin, register=9)
    await storage.close()


# ---- several at once ----------------------------------------------------------------------------


def write(parameters: dict[str, Any], number: int, appends: int) -> list[int]:
    """Append in a process of its own; the sequences that it got."""

    async def run() -> list[int]:
        storage = DynamoDBStorage(**parameters)
        sequences: list[int] = []
        try:
            for _ in range(appends):
                appended = await storage.append([batch("all", f"own:{number}"), batch("all")])
                sequences += [each.position.sequence for each in appended.batches]
        finally:
            await storage.close()
        return sequences

    return asyncio.run(run())


async def test_writer_processes_and_a_reader(
    dynamodb: DynamoDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1, I4: four processes write at once; no reader sees a gap, no touch is lost or doubled."""
    parameters, appends = dynamodb.parameters(), 8
    reader = DynamoDBStorage(**parameters)
    await reader.open()
    seen = 0
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        writing = [pool.submit(write, parameters, number, appends) for number in range(4)]
        while seen < 8 * appends:
            answer = await reader.changes(seen, limit=1_000)
            sequences = [each.position.sequence for each in answer.batches]
            first = max(seen, 1)
            assert sequences == list(range(first, answer.head.position.sequence + 1))
            seen = answer.head.position.sequence
            read = await reader.read(["all"])
            assert "all" not in read or read["all"].touches == read["all"].sequence
            if any(each.done() and each.exception() for each in writing):
                break
        got = sorted(sequence for each in writing for sequence in each.result())
    assert list(range(1, 8 * appends + 1)) == got

    nodes = await reader.read(["all", *(f"own:{number}" for number in range(4))])
    assert {"all": 8 * appends, **{f"own:{number}": appends for number in range(4)}} == {
        name: each.touches for name, each in nodes.items()
    }
    assert (await reader._reader.identity()).applied_to > 0
    assert nodes == {each.name: each for each in await walk(reader, limit=2)}
    await reader.close()


async def test_an_append_beside_a_rotation_is_of_the_new_lineage(
    dynamodb: DynamoDBServer, storage: DynamoDBStorage
) -> None:
    """What is put after a rotation is told under the new lineage, though it was begun before."""
    before = (await storage.append([batch("a")])).head
    commit = storage._log.commit

    async with another(dynamodb, storage) as operator:

        async def late(group: Any) -> Any:
            await operator.rotate(before.origin, register=4)
            return await commit(group)

        storage._log.commit = late  # type: ignore[method-assign]
        appended = await storage.append([batch("a")])

        assert before.lineage != appended.head.lineage
        assert (4, before.position) == (appended.head.register, appended.after)
        assert appended.head == (await operator.changes(0, limit=5)).head


# ---- sizes --------------------------------------------------------------------------------------


async def test_an_append_may_be_larger_than_an_item(
    storage: DynamoDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append of more than 400 KB is recorded and told whole, and losing against one is fine."""
    monkeypatch.setattr(folding, "FOLD_WEIGHT", NEVER)
    names = [secrets.token_hex(256) for _ in range(1_000)]
    winner, loser = [batch(*names, hash="h")], [batch(names[0], "a")]
    commit = storage._log.commit

    async def late(group: Any) -> Any:
        storage._log.commit = commit  # type: ignore[method-assign]
        assert await commit(storage_state.next(winner)[0]) is None
        return await commit(group)

    storage_state = await storage._reader.state(names)
    storage._log.commit = late  # type: ignore[method-assign]
    await storage.append(loser)

    model = Model(winner + loser)
    model.check_log(await whole_log(storage), first=1)
    few = [*names[:5], "a"]
    assert {name: model.nodes[name] for name in few} == await storage.read(few)


async def test_an_append_has_a_limit(
    storage: DynamoDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I6: more than an append may hold is an error that says so, and nothing is recorded."""
    monkeypatch.setattr(log, "_APPEND_BYTES_MAX", 10_000)
    with pytest.raises(StorageFull, match="Append fewer"):
        await storage.append([batch(*(secrets.token_hex(256) for _ in range(50)))])

    assert 0 == (await storage.open()).head.position.sequence


class Stingy:
    """A client whose batch requests do a part of the work only, as DynamoDB's may."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def batch_get_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803
        [(table, wanted)] = RequestItems.items()
        keys = wanted["Keys"]
        some = {table: {**wanted, "Keys": keys[:2]}}
        answer = await self._client.batch_get_item(RequestItems=some)
        rest = {table: {**wanted, "Keys": keys[2:]}} if keys[2:] else {}
        return {**answer, "UnprocessedKeys": rest}

    async def batch_write_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803
        [(table, requests)] = RequestItems.items()
        answer = await self._client.batch_write_item(RequestItems={table: requests[:20]})
        return {**answer, "UnprocessedItems": {table: requests[20:]} if requests[20:] else {}}


async def test_what_a_batch_request_leaves_is_asked_for_again(
    dynamodb: DynamoDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unprocessed keys and items are tried again until nothing is left, or the store is busy."""

    @asynccontextmanager
    async def stingy() -> AsyncIterator[Any]:
        async with dynamodb.factory()() as client:
            yield Stingy(client)

    monkeypatch.setattr(folding, "FOLD_WEIGHT", 16)
    storage = DynamoDBStorage(stingy, table_name=new_table_name())
    await storage.open()
    await storage.append([batch("a", "b", "c", "d", "e")])

    assert 5 == len(await storage.read(["a", "b", "c", "d", "e", "f"]))
    with pytest.raises(StorageBusy, match="undone"):
        await storage.read([f"name:{number}" for number in range(40)])
    await storage._table.delete_many([log_key(number) for number in range(25)])
    assert 0 == (await storage.open()).head.position.sequence
    await storage.close()


# ---- trimming -----------------------------------------------------------------------------------


@pytest.fixture
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (folding, reading):
        monkeypatch.setattr(module, "LOG_SEQUENCES_KEPT", 10)
    monkeypatch.setattr(folding, "TRIM_SLACK", 5)
    monkeypatch.setattr(folding, "FOLD_WEIGHT", 32)
    monkeypatch.setattr(log, "_INLINE_BYTES_MAX", 10)
    monkeypatch.setattr(log, "_PART_BYTES", 40)


async def test_the_log_is_trimmed(storage: DynamoDBStorage, short_log: None) -> None:
    """I6: log and parts keep at least as many batches as they must, and not many more."""
    for number in range(12):
        await storage.append([batch("a"), batch("b", hash=str(number))])

    assert () == (await storage.changes(0, limit=5)).batches
    positions = (await storage.open()).recent
    assert 10 <= len(positions) <= 12
    told = await storage.changes(positions[0].sequence, limit=100)
    assert list(positions) == [each.position for each in told.batches]
    left = [item async for item in storage._table.query("log")]
    assert 5 <= len(left) <= 10
    parts = [item["sk"] async for item in storage._table.query("part#0")]
    assert len(left) == len(parts)
    assert (12, 12) == tuple(each.touches for each in (await storage.read(["a", "b"])).values())


async def test_a_writer_that_slept_too_long_is_told(
    dynamodb: DynamoDBServer, storage: DynamoDBStorage, short_log: None
) -> None:
    """I1: a Put where the log was trimmed meanwhile does not pass for an append."""
    await storage.append([batch("a")])
    commit = storage._log.commit
    async with another(dynamodb, storage) as other:

        async def late(group: Any) -> Any:
            for _ in range(12):
                await other.append([batch("a"), batch("b")])
            return await commit(group)

        storage._log.commit = late  # type: ignore[method-assign]
        with pytest.raises(StorageUnavailable, match="Append it again"):
            await storage.append([batch("a")])

        assert () == (await other.changes(2, limit=5)).batches
        assert 25 == (await other.open()).head.position.sequence
        assert 13 == (await other.read(["a"]))["a"].touches


# ---- restored and replaced tables ---------------------------------------------------------------


async def test_a_torn_backup_is_put_right(
    storage: DynamoDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nodes and their mark are ahead of the log, appends and reads go on from the log's end."""
    monkeypatch.setattr(folding, "FOLD_WEIGHT", 16)
    for _ in range(4):
        await storage.append([batch("a")])
    await storage._table.delete_many([log_key(4)])

    appended = await storage.append([batch("a", "b")])
    await storage.append([batch("c")])

    assert 4 == appended.head.position.sequence
    assert 5 == (await storage.read(["a"]))["a"].touches
    assert {"a", "b", "c"} == set(names_of(await walk(storage, limit=1)))


async def test_a_hole_in_the_log_is_no_log(storage: DynamoDBStorage) -> None:
    """What lies before a hole is answered as trimmed, what lies behind it is told."""
    for _ in range(6):
        await storage.append([batch("a")])
    await storage._table.delete_many([log_key(3)])

    opening = await storage.open()
    assert [4, 5, 6] == [each.sequence for each in opening.recent]
    for after in (0, 1, 2, 3):
        answer = await storage.changes(after, limit=10)
        assert (opening.head, ()) == (answer.head, answer.batches)
    assert 3 == len((await storage.changes(4, limit=10)).batches)


async def test_a_table_made_anew_is_another_store(storage: DynamoDBStorage) -> None:
    """While the table is missing, verbs say so; made again, it has another origin, from 0."""
    before = (await storage.append([batch("a")])).head
    await storage._table.request("delete_table")

    for failing in (storage.read(["a"]), storage.append([batch("a")])):
        with pytest.raises(StorageSchemaMissing, match="create_table"):
            await failing
    after = (await storage.open()).head

    assert before.store_id != after.store_id
    assert (0, 0) == tuple(after.position)
    assert {} == await storage.read(["a"])
