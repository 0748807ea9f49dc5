from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from reality.core.changelog import LOG_SEQUENCES_KEPT, Appended, Head
from reality.core.limits import VERSION_MAX
from reality.errors import (
    StorageUnavailable,
)
from reality.storage.base import Storage
from reality.storage.redis import RedisStorage
from reality.testing.model import Model, batch
from reality.testing.storage import StorageContract
from tests.support.processes import free_port
from tests.support.programs import require_program
from tests.support.redis_server import RedisServer, opened

pytestmark = pytest.mark.slow

PARTS = ("store", "nodes", "order", "log", "tags")
WRITERS = 4
APPENDS = 50


class RedisContract(StorageContract):
    """What the ways to name a server have in common."""

    __test__ = False

    @pytest.fixture(autouse=True)
    def server(self, redis_server: RedisServer) -> None:
        redis_server.start()
        self.redis = redis_server

    def connecting(self) -> Any:
        return self.redis.url

    def new_storage(self) -> Storage:
        return RedisStorage(self.connecting(), prefix=self.redis.new_prefix())

    def same_storage(self, storage: Storage) -> Storage:
        assert isinstance(storage, RedisStorage)
        return RedisStorage(self.connecting(), prefix=storage.prefix)

    @contextmanager
    def outage(self, storage: Storage) -> Iterator[None]:
        self.redis.stop()
        yield
        self.redis.start()


class TestUrl(RedisContract):
    __test__ = True


class TestUnixSocket(RedisContract):
    __test__ = True

    def connecting(self) -> Any:
        return self.redis.unix_url


class TestAsyncClient(RedisContract):
    __test__ = True

    def connecting(self) -> Any:
        return redis.asyncio.Redis(port=self.redis.port, decode_responses=True)


class TestBlockingClient(RedisContract):
    __test__ = True

    def connecting(self) -> Any:
        return redis.Redis(port=self.redis.port)


@pytest.fixture
async def storage(redis_server: RedisServer, redis_prefix: str) -> AsyncIterator[RedisStorage]:
    async with opened(redis_server.url, redis_prefix) as storage:
        yield storage


# ---- one origin, or another ----------------------------------------------------------------------


async def verb(storage: Storage, name: str) -> Head:
    """Call one verb; where the store stood after it."""
    match name:
        case "open":
            return (await storage.open()).head
        case "append":
            appended = await storage.append([batch("new")])
            assert 1 == appended.head.position.sequence == appended.head.touches
            return appended.head
        case "rotate":
            return await storage.rotate("nobody@nothing", register=9)
        case "read":
            assert {} == await storage.read(["a"])
        case "scan":
            assert () == (await storage.scan(0, limit=10)).touched
    return (await storage.changes(0, limit=10)).head


@pytest.mark.parametrize("name", ["open", "append", "changes", "read", "scan", "rotate"])
@pytest.mark.parametrize("part", PARTS)
async def test_a_store_that_lost_a_part_is_another(
    redis_server: RedisServer, storage: RedisStorage, part: str, name: str
) -> None:
    """I1: whichever part is gone, whichever verb comes first: a new origin, and nothing of old."""
    before = (await storage.append([batch("a", "b"), batch("a")])).head
    redis_server.execute("DEL", f"{{{storage.prefix}}}:{part}")

    head = await verb(storage, name)

    assert {before.store_id, before.lineage}.isdisjoint({head.store_id, head.lineage})
    assert 0 == head.register
    assert head == (await storage.open()).head
    assert {} == await storage.read(["a", "b"])


@pytest.mark.parametrize(
    "damage",
    [
        ("HDEL", "nodes", "a"),
        ("ZREM", "order", "a"),
        ("HDEL", "log", "0"),
        ("SETRANGE", "tags", "4", "\0\0\0\0"),
        ("HDEL", "store", "register"),
        ("HSET", "store", "sequence", "1"),
    ],
    ids=" ".join,
)
async def test_parts_that_do_not_fit_are_no_store(
    redis_server: RedisServer, storage: RedisStorage, damage: tuple[str, ...]
) -> None:
    """I1: a part of a part that is gone, or another age of it, is found out, too."""
    before = (await storage.append([batch("a", "b"), batch("c")])).head
    command, part, *arguments = damage

    redis_server.execute(command, f"{{{storage.prefix}}}:{part}", *arguments)

    assert before.origin != (await storage.changes(2, limit=1)).head.origin
    assert 1 == (await storage.append([batch("a")])).head.position.sequence


async def test_an_emptied_server_is_a_new_store_for_everyone(private_redis: RedisServer) -> None:
    """I1: after FLUSHALL all servers that share the store see one and the same new origin."""
    async with opened(private_redis.url, "p") as one, opened(private_redis.url, "p") as two:
        before = (await one.append([batch("a")])).head
        private_redis.execute("FLUSHALL")

        appended = await two.append([batch("b")])

        assert before.origin != appended.head.origin
        assert appended.head == (await one.changes(1, limit=5)).head
        assert {"b"} == (await one.read(["a", "b"])).keys()


async def test_a_server_with_a_log_file_keeps_the_store(
    redis_server: RedisServer, storage: RedisStorage
) -> None:
    """I1: after a restart that kept the data, writing and reading go on where they were."""
    before = await storage.append([batch("a"), batch("b")])

    await asyncio.to_thread(redis_server.restart)

    appended = await storage.append([batch("a")])
    assert before.head.position == appended.after
    assert before.head.origin == appended.head.origin
    assert {"a", "b"} == (await storage.read(["a", "b"])).keys()


@pytest.mark.parametrize("name", ["append", "changes"])
async def test_a_server_that_comes_back_empty_is_a_new_store(
    private_redis: RedisServer, name: str
) -> None:
    """I1: what a restart has lost is not taken for the store that it was."""
    async with opened(private_redis.url, "p") as storage:
        before = (await storage.append([batch("a")])).head

        await asyncio.to_thread(private_redis.restart, empty=True)

        assert before.origin != (await verb(storage, name)).origin


async def test_scripts_are_sent_again(redis_server: RedisServer, storage: RedisStorage) -> None:
    """A server that forgot the scripts gets them again; each batch counts once."""
    await storage.append([batch("a")])
    redis_server.execute("SCRIPT", "FLUSH")

    appended = await storage.append([batch("a")])

    assert (2, 2) == (appended.head.position.sequence, appended.head.touches)


async def test_two_prefixes_do_not_meet(redis_server: RedisServer, storage: RedisStorage) -> None:
    """Stores with prefixes of their own share nothing, even if one begins like the other."""
    async with opened(redis_server.url, f"{storage.prefix}:more") as other:
        appended = await storage.append([batch("a")])

        head = (await other.open()).head

    assert (0, 0) == head.position
    assert head.store_id != appended.head.store_id
    assert {} == await other.read(["a"])
    await other.close()


@pytest.mark.parametrize("prefix", ["", "{a}", "a}"])
def test_a_prefix_must_leave_the_hash_tag_whole(prefix: str) -> None:
    """Braces in the prefix would scatter the keys over a cluster."""
    with pytest.raises(ValueError, match="prefix"):
        RedisStorage("redis://", prefix=prefix)


# ---- numbers and sizes ---------------------------------------------------------------------------


async def test_great_numbers_are_exact(redis_server: RedisServer, storage: RedisStorage) -> None:
    """Up to 2**52 - 1: sequences, touches, times and the register."""
    appended = await storage.append([batch("a")])
    key = f"{{{storage.prefix}}}:"
    # As if as many batches had been recorded: the log's ring is full, its last tag in its place.
    sequence = VERSION_MAX - 1
    tag = appended.head.position.tag
    ring = bytearray(4 * LOG_SEQUENCES_KEPT)
    place = (sequence - 1) % LOG_SEQUENCES_KEPT
    ring[4 * place : 4 * place + 4] = tag.to_bytes(4)
    redis_server.execute("SET", f"{key}tags", bytes(ring))
    slots = (text for number in range(LOG_SEQUENCES_KEPT) for text in (number, "x"))
    redis_server.execute("HSET", f"{key}log", *slots)
    redis_server.execute("HSET", f"{key}store", "sequence", sequence)
    await storage.rotate(appended.head.origin, register=VERSION_MAX)

    given = batch("a", "b", updated_at=VERSION_MAX, touches_min=VERSION_MAX - 5)
    last = await storage.append([given])

    assert (sequence, tag) == last.after
    assert (VERSION_MAX, VERSION_MAX) == (last.head.position.sequence, last.head.register)
    assert 2 * (VERSION_MAX - 5) == last.head.touches
    for touched in ((await storage.read(["a", "b"])).values(), last.batches[0].touched):
        assert {(VERSION_MAX, VERSION_MAX - 5, VERSION_MAX)} == {
            (each.sequence, each.touches, each.updated_at) for each in touched
        }
    assert last.batches == (await storage.changes(sequence, limit=1)).batches[1:]
    # The oldest batch has just left the ring: its place is another's now.
    assert () == (await storage.changes(VERSION_MAX - LOG_SEQUENCES_KEPT, limit=1)).batches
    assert 2 == len((await storage.scan(sequence, limit=1)).touched)
    assert last.head.position == (await storage.open()).recent[-1]


async def test_great_answers_are_cut(storage: RedisStorage) -> None:
    """I6: however great batches are, an answer holds some 4 MB, and always the next batch."""
    await storage.append(
        [batch(*(f"{number}:{each:0500}" for each in range(3_000))) for number in range(5)]
    )

    answer = await storage.changes(0, limit=5)
    assert [1, 2] == [each.position.sequence for each in answer.batches]
    answer = await storage.changes(2, limit=5)
    assert [2, 3, 4] == [each.position.sequence for each in answer.batches]

    await storage.append([batch(*(f"{each:0500}" for each in range(10_000)))])
    answer = await storage.changes(5, limit=5)
    assert [0, 10_000] == [len(each.touched) for each in answer.batches]


# ---- clients and connections ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
async def test_the_applications_client_is_not_touched(
    redis_server: RedisServer, redis_prefix: str, kind: Any
) -> None:
    """No connection of the application's is used or closed, and its options stay as they are."""
    client = kind(port=redis_server.port, db=3, client_name="theirs", decode_responses=True)
    pinged = client.ping()
    assert (await pinged if kind is redis.asyncio.Redis else pinged) is True
    options = dict(client.connection_pool.connection_kwargs)

    async with opened(client, redis_prefix) as storage:
        await asyncio.gather(*(storage.append([batch("a")]) for _ in range(3)))
        assert storage.name.endswith("database 3")

    with redis.Redis(port=redis_server.port) as control:
        theirs = [each for each in control.client_list() if each["name"] == "theirs"]
    assert ["ping"] == [each["cmd"] for each in theirs]
    assert options == client.connection_pool.connection_kwargs
    closed = client.close() if kind is redis.Redis else client.aclose()
    if closed is not None:
        await closed


def test_a_client_without_an_address_is_refused() -> None:
    """What is no client of one server is refused with what would do."""
    sentinel = redis.Sentinel([("127.0.0.1", 1)]).master_for("primary")  # type: ignore[no-untyped-call]
    for client in (sentinel, object()):
        with pytest.raises(ValueError, match="takes a URL"):
            RedisStorage(client)  # type: ignore[arg-type]


async def test_each_event_loop_has_its_own_connections(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    """One store serves one loop after the other."""
    storage = RedisStorage(redis_server.url, prefix=redis_prefix)

    async def use() -> int:
        await storage.open()
        appended = await storage.append([batch("a")])
        await storage.close()
        return appended.head.position.sequence

    assert 1 == await asyncio.to_thread(asyncio.run, use())
    assert 2 == await use()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    openssl = require_program("openssl", debian_package="openssl")
    arguments = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    alternative = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run(
        [openssl, *arguments.split(), *alternative, *files], check=True, capture_output=True
    )
    for path in (tmp_path, *tmp_path.iterdir(), *tmp_path.parents):
        with suppress(PermissionError):
            path.chmod(path.stat().st_mode | 0o055)
    return tmp_path / "certificate.pem"


async def test_tls(certificate: Path) -> None:
    """`rediss://` checks the server's certificate; so do the options of a client that uses TLS."""
    port = free_port()
    settings = {
        "tls-port": str(port),
        "tls-auth-clients": "no",
        "tls-cert-file": str(certificate),
        "tls-key-file": str(certificate.with_name("key.pem")),
    }
    with RedisServer(settings=settings):
        url = f"rediss://127.0.0.1:{port}"
        async with opened(f"{url}?ssl_ca_certs={certificate}", "p") as storage:
            appended = await storage.append([batch("a")])
        client = redis.Redis(port=port, host="127.0.0.1", ssl=True, ssl_ca_certs=str(certificate))
        async with opened(client, "p") as storage:
            assert appended.head == (await storage.open()).head
        with pytest.raises(StorageUnavailable):
            await RedisStorage(url).open()


async def test_a_node_of_a_cluster() -> None:
    """All keys are in one slot, so that a cluster runs the scripts; a node without it is named."""
    port = free_port()
    settings = {"cluster-enabled": "yes", "cluster-port": str(port), "databases": "1"}
    with RedisServer(settings=settings) as server:
        server.execute("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        while b"cluster_state:ok" not in server.execute("CLUSTER", "INFO"):
            await asyncio.sleep(0.01)
        async with opened(server.url, "p") as storage:
            await storage.append([batch("a")])
            await storage.hinted()
            assert {"a"} == (await storage.read(["a"])).keys()

            server.execute("CLUSTER", "DELSLOTSRANGE", 0, 16_383)
            with pytest.raises(StorageUnavailable, match="CLUSTER INFO"):
                await storage.read(["a"])


# ---- many processes ------------------------------------------------------------------------------


async def write(url: str, prefix: str, number: int) -> list[Appended]:
    async with opened(url, prefix) as storage:
        return [
            await storage.append([batch(*written(number, count)), batch("shared")])
            for count in range(APPENDS)
        ]


def written(number: int, count: int) -> tuple[str, ...]:
    return ("shared", f"writer:{number}", f"count:{count}")


def run_writer(url: str, prefix: str, number: int) -> list[Appended]:
    return asyncio.run(write(url, prefix, number))


async def test_four_writers_and_a_reader_that_sees_no_gap(
    redis_server: RedisServer, storage: RedisStorage
) -> None:
    """I1: batches of four processes get sequences without gaps, which show in order, and whole."""
    total = WRITERS * APPENDS * 2
    model, position = Model(), 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WRITERS, mp_context=spawn) as pool:
        places = (redis_server.url, storage.prefix)
        futures = [pool.submit(run_writer, *places, number) for number in range(WRITERS)]
        seen = []
        while position < total:
            answer = await storage.changes(position, limit=7)
            after = position
            new = [each for each in answer.batches if each.position.sequence > position]
            assert list(range(position + 1, position + 1 + len(new))) == [
                each.position.sequence for each in new
            ]
            seen += new
            position += len(new)
            assert after == answer.head.position.sequence or new
            if not new and all(each.done() for each in futures):
                break
        done = [appended for future in futures for appended in future.result()]

    assert {each.position for each in seen} == {
        logged.position for appended in done for logged in appended.batches
    }
    assert total == len(seen)
    for logged in seen:
        model.append(batch(*(each.name for each in logged.touched)))
    model.check_log(seen, first=1)
    assert total == model.nodes["shared"].touches
    assert model.nodes == await storage.read(model.nodes)
    assert (total, model.touches) == (
        (await storage.open()).head.position.sequence,
        (await storage.open()).head.touches,
    )
