"""Promises of `rotate`."""

from __future__ import annotations

import asyncio

from reality.core.limits import VERSION_MAX
from reality.testing.model import batch
from reality.testing.promises.bench import Stores, Suite, promise, walk


class RotatePromises(Suite):
    """What `rotate` promises."""

    @promise("durable")
    async def test_a_rotation_draws_a_new_lineage(self, stores: Stores) -> None:
        """Lineage and register are new; store id, nodes, sequence and touches stay."""
        storage = await stores.new()
        before = (await storage.append([batch("a", "b"), batch("a")])).head
        nodes = await storage.read(["a", "b"])

        after = await storage.rotate(before.origin, register=77)

        assert before.lineage != after.lineage
        assert before._replace(lineage=after.lineage, register=77) == after
        assert nodes == await storage.read(["a", "b"])
        assert {"a", "b"} == {each.name for each in await walk(storage, limit=1)}
        opening = await storage.open()
        assert (after, before.position) == (opening.head, opening.recent[-1])

    @promise("durable")
    async def test_sequences_go_on_after_a_rotation(self, stores: Stores) -> None:
        """The next batch has the next sequence, under the new lineage, for every instance."""
        storage, other = await stores.several(2)
        before = (await storage.append([batch("a")])).head
        after = await storage.rotate(before.origin, register=0)

        appended = await other.append([batch("a")])

        assert before.position == appended.after
        assert (after.origin, 2) == (appended.head.origin, appended.head.position.sequence)
        assert appended.head == (await storage.changes(1, limit=5)).head
        assert 2 == (await storage.read(["a"]))["a"].touches

    @promise("durable")
    async def test_a_rotation_of_another_origin_does_nothing(self, stores: Stores) -> None:
        """Unless the store's origin is the expected one, nothing happens, and the head is told."""
        storage = await stores.new()
        head = (await storage.append([batch("a")])).head
        for expected in (f"{head.store_id}@other", f"other@{head.lineage}", "", head.lineage):
            assert head == await storage.rotate(expected, register=9)

        assert head == (await storage.open()).head

    @promise("durable")
    async def test_the_register_never_falls(self, stores: Stores) -> None:
        """It becomes the greater of its own and the one given, exactly, up to 2**52 - 1."""
        storage = await stores.new()
        head = (await storage.open()).head
        for given, expected in ((5, 5), (3, 5), (0, 5), (6, 6), (VERSION_MAX, VERSION_MAX)):
            head = await storage.rotate(head.origin, register=given)

            assert expected == head.register
        assert head == (await storage.open()).head

    @promise("durable")
    async def test_only_the_first_of_several_rotations_does_anything(self, stores: Stores) -> None:
        """Rotations of one origin, at once or one by one, give one new lineage."""
        every = await stores.several()
        origin = (await every[0].open()).head.origin

        heads = await asyncio.gather(
            *(storage.rotate(origin, register=each) for each, storage in enumerate(every * 3, 1))
        )

        assert 1 == len(set(heads))
        assert origin != heads[0].origin
        for storage in every:
            assert heads[0] == await storage.rotate(origin, register=100)
            assert heads[0] == (await storage.open()).head

    @promise("durable")
    async def test_a_rotation_beside_appends_loses_none(self, stores: Stores) -> None:
        """Batches appended while the store is rotated all count, and in order."""
        every = await stores.several()
        origin = (await every[0].open()).head.origin

        await asyncio.gather(
            *(storage.append([batch("a")]) for storage in every * 3),
            every[0].rotate(origin, register=3),
            *(storage.append([batch("a")]) for storage in every * 3),
        )

        count = 6 * len(every)
        head = (await every[-1].open()).head
        assert (count, 3) == (head.position.sequence, head.register)
        assert count == (await every[1].read(["a"]))["a"].touches
