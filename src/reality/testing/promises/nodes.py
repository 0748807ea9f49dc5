"""Promises of `read` and `scan`, and of what a node can hold."""

from __future__ import annotations

from reality.core.keys import KEY_BYTES_MAX
from reality.core.limits import HASH_CHARS_MAX, VERSION_MAX
from reality.testing.model import Model, batch, names_of
from reality.testing.promises.bench import Stores, Suite, promise, walk, whole_log

# Names that databases like to take for each other, to cut, to escape or to refuse.
HARD_NAMES = (
    *("a", "A", "a ", "a  ", " a", "á", "a\u0301", "à", "ａ", "ß", "ss", "SS", "ı", "i", "I", "İ"),
    *("*", "a:*", "a:b:*", "a:**", "a:%", "a:_", "a%", "a_", "%", "_", "?", "[a]", "a*b"),
    *(
        "'",
        "''",
        '"',
        "`",
        "\\",
        "\\'",
        "\\\\",
        "\\x00",
        "$1",
        ":a",
        ":",
        "a:",
        ":1",
        "%s",
        "{}",
        "--",
        ";",
    ),
    *("NULL", "null", "None", "0", "00", "1", "1.0", "true", "nan", "__proto__", "{a}", "#a", "@a"),
    *(
        "\u00a0",
        "\u200b",
        "a\u200b",
        "\ufeff",
        "\ue000",
        "\uffff",
        "\U0010ffff",
        "👩\u200d👩\u200d👧",
        "👩",
        "🏳️‍🌈",
    ),
    *("x" * KEY_BYTES_MAX, "x" * (KEY_BYTES_MAX - 1), "😀" * (KEY_BYTES_MAX // 4)),
    *(" " * KEY_BYTES_MAX, "é" * (KEY_BYTES_MAX // 2), "x:" * 7 + "*"),
)


class NodePromises(Suite):
    """What `read` promises, and which names and numbers survive."""

    @promise()
    async def test_names_never_touched_are_left_out(self, stores: Stores) -> None:
        """`read` tells of the names asked for that were touched, and of no others."""
        storage = await stores.new()
        assert {} == await storage.read(["a", "b"])

        await storage.append([batch("a", "b:*", "other")])

        assert {"a", "b:*"} == (await storage.read(["a", "b", "b:1", "b:*", "*"])).keys()
        assert {} == await storage.read([])

    @promise()
    async def test_any_collection_of_names_can_be_read(self, stores: Stores) -> None:
        """Names may come as a list, a tuple, a set or the keys of a dictionary."""
        storage = await stores.new()
        await storage.append([batch("a", "b")])
        nodes = Model([batch("a", "b")]).nodes

        for names in (["a", "b"], ("a", "b"), {"a", "b"}, frozenset("ab"), {"a": 1, "b": 2}):
            assert nodes == await storage.read(names)
        assert nodes == await storage.read({"a": 1, "b": 2}.keys())

    @promise()
    async def test_a_read_tells_all_that_was_appended_before(self, stores: Stores) -> None:
        """Whoever appended it: once the append has returned, `read` and `changes` tell of it."""
        every = await stores.several()
        model = Model()
        for number in range(15):
            writer, reader = every[number % len(every)], every[(number + 1) % len(every)]
            await writer.append([batch("a", hash=str(number))])
            model.append(batch("a", hash=str(number)))

            assert model.nodes == await reader.read(["a"])
            answer = await reader.changes(number, limit=10)
            assert number + 1 == answer.batches[-1].position.sequence

    @promise()
    async def test_every_well_formed_name_is_kept_as_it_is(self, stores: Stores) -> None:
        """512 bytes, emoji, spaces, case, accents, wildcards and quotes: no two names are one."""
        storage = await stores.new()
        given = [batch(*HARD_NAMES), *(batch(name, hash=name[:9]) for name in HARD_NAMES)]
        await storage.append(given)
        model = Model(given)

        assert model.nodes == await storage.read(HARD_NAMES)
        model.check_log(await whole_log(storage), first=1)
        assert list(HARD_NAMES) == names_of(await walk(storage, limit=10))

    @promise()
    async def test_names_are_not_found_under_others(self, stores: Stores) -> None:
        """Of two names that look alike, only the touched one is known; a pattern is a name, too."""
        for name, others in {
            "Posts": ["posts", "POSTS", "Posts ", "Pósts", " Posts"],
            "a:*": ["a:b", "a", "a:", "a:_"],
            "é": ["e", "E", "É", "e\u0301"],
        }.items():
            storage = await stores.new()
            await storage.append([batch(name)])

            assert {name} == (await storage.read([name, *others])).keys()

    @promise()
    async def test_numbers_up_to_the_greatest_version_are_exact(self, stores: Stores) -> None:
        """Times and touches are kept exactly, from the least to 2**52 - 1."""
        storage = await stores.new()
        given = [
            batch("a", updated_at=VERSION_MAX, touches_min=VERSION_MAX - 1),
            batch("b", updated_at=0),
            batch("b", updated_at=2**31 - 1),
            batch("b", updated_at=2**32),
            batch("a", updated_at=VERSION_MAX - 1),
        ]
        model = Model()
        for each in given:
            await storage.append([each])
            model.append(each)

            assert model.nodes == await storage.read(["a", "b"])
        model.check_log(await whole_log(storage), first=1)
        assert VERSION_MAX == model.nodes["a"].touches

    @promise()
    async def test_hashes_are_kept_as_they_are(self, stores: Stores) -> None:
        """A hash is any text of up to 256 characters, told exactly; "" is unknown."""
        storage = await stores.new()
        hashes = ("h", "H", "", " h ", "é", "'\"\\%", "😀" * HASH_CHARS_MAX, "f" * HASH_CHARS_MAX)
        for text in hashes:
            await storage.append([batch("a", hash=text)])

            assert text == (await storage.read(["a"]))["a"].hash


class ScanPromises(Suite):
    """What `scan` promises."""

    @promise()
    async def test_a_scan_goes_in_the_order_of_the_last_touch(self, stores: Stores) -> None:
        """Each name stands where it was touched last, and nowhere else."""
        storage = await stores.new()
        given = [batch("a", "b", "c"), batch("d", "b"), batch("e:*"), batch("a")]
        await storage.append(given)

        listing = await storage.scan(0, limit=100)

        expected = sorted(Model(given).nodes.values(), key=lambda each: each.sequence)
        assert [each.sequence for each in expected] == [each.sequence for each in listing.touched]
        assert {each.name: each for each in expected} == {
            each.name: each for each in listing.touched
        }
        assert len(expected) == len(listing.touched)
        assert not listing.more

    @promise()
    async def test_a_scan_begins_after_a_sequence(self, stores: Stores) -> None:
        """Only names last touched after the sequence are told; after the head there are none."""
        storage = await stores.new()
        assert ((), False) == await storage.scan(0, limit=10)
        given = [batch("a", "b"), batch("c"), batch("b", "d"), batch("e")]
        await storage.append(given)
        model = Model(given)

        for after in range(6):
            listing = await storage.scan(after, limit=100)
            assert model.after(after) == set(names_of(listing.touched))
            assert not listing.more

    @promise()
    async def test_a_scan_never_splits_a_batch(self, stores: Stores) -> None:
        """However small the limit, an answer has all names of each of its batches, and gets on."""
        storage = await stores.new()
        given = [batch(*(f"{size}:{each}" for each in range(size))) for size in (3, 1, 7, 2, 5)]
        await storage.append(given)
        for limit in range(1, 20):
            after, sizes = 0, []
            more = True
            while more:
                page = await storage.scan(after, limit=limit)
                assert page.touched
                after, more = page.touched[-1].sequence, page.more
                sizes.append(len(page.touched))

            ends = {sum(sizes[:count]) for count in range(1, len(sizes) + 1)}
            assert ends <= {3, 4, 11, 13, 18}
            assert 18 == sum(sizes)

    @promise()
    async def test_a_scan_ends_about_where_the_limit_says(self, stores: Stores) -> None:
        """An answer is not all names if a few were asked for, and `more` tells that there are."""
        storage = await stores.new()
        await storage.append([batch(f"name:{number}") for number in range(100)])

        listing = await storage.scan(0, limit=2)

        assert 1 <= len(listing.touched) <= 50
        assert listing.more
        assert [1] == [each.sequence for each in listing.touched[:1]]

    @promise()
    async def test_a_scan_says_truly_whether_there_is_more(self, stores: Stores) -> None:
        """`more` is false exactly where nothing follows, also where the limit is just met."""
        storage = await stores.new()
        await storage.append([batch("a", "b"), batch("c", "d"), batch("e", "f")])
        for limit in range(1, 9):
            after = 0
            while True:
                page = await storage.scan(after, limit=limit)
                after = page.touched[-1].sequence
                assert page.more == (after < 3)
                if not page.more:
                    break

    @promise()
    async def test_a_walk_meets_every_name_while_others_are_touched(self, stores: Stores) -> None:
        """A walk beside a writer meets every name at its old place or its new."""
        reader, writer = await stores.several(2)
        names = [f"name:{number}" for number in range(40)]
        await writer.append([batch(*names[start : start + 2]) for start in range(0, 40, 2)])
        met: list[str] = []
        after, step, more = 0, 0, True
        while more:
            page = await reader.scan(after, limit=4)
            sequences = [each.sequence for each in page.touched]
            assert sequences == sorted(sequences)
            assert sequences[0] > after
            met += names_of(page.touched)
            after, more = sequences[-1], page.more
            step += 1
            if step <= 12:
                # One that was met, one that is next, one far away, and one that is new.
                await writer.append([batch(names[step % 4], names[-step]), batch(f"new:{step}")])
                await writer.append([batch(names[(4 * step + 1) % 40])])

        assert set(names) <= set(met)
