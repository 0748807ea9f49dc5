"""Stores that open, close, rotate or fork as they should not."""

from __future__ import annotations

import asyncio
import os

from reality.core.changelog import Head, Listing, Opening
from reality.core.cursor import Position
from reality.storage.base import draw_lineage
from reality.testing.dictionary import DictStorage
from tests.testing.broken import Broken


class HasNoName(Broken, found_by="a_store_says_what_it_is"):
    name = ""


class IsAlwaysTheSame(Broken, found_by="a_new_store_draws_its_identity"):
    def __init__(self) -> None:
        super().__init__()
        self._head = self._head._replace(store_id="store", lineage="1")


class DrawsAtEachOpen(
    Broken,
    found_by="first_opens_at_once_agree a_store_may_be_opened_again_and_again "
    "every_instance_opens_the_same_store open_opens_a_closed_store_again",
):
    async def open(self) -> Opening:
        self._head = self._head._replace(lineage=draw_lineage())
        return await super().open()


class HasNoRecent(Broken, found_by="recent_is_empty_before_the_first_batch"):
    async def open(self) -> Opening:
        return Opening(self._head, ())


class ClosesOnce(Broken, found_by="closing_twice_does_no_harm"):
    _is_closed = False

    async def close(self) -> None:
        if self._is_closed:
            raise RuntimeError("already closed")
        self._is_closed = True

    async def open(self) -> Opening:
        self._is_closed = False
        return await super().open()


class ForgetsWhenClosed(Broken, found_by="open_opens_a_closed_store_again"):
    async def close(self) -> None:
        self.__dict__ |= DictStorage().__dict__


class BelongsToAProcess(Broken, found_by="a_child_after_a_fork_opens_connections_of_its_own"):
    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()

    async def open(self) -> Opening:
        if self._pid != os.getpid():
            raise RuntimeError("connected by another process")
        return await super().open()


class TakesTurns(Broken, found_by="verbs_may_be_called_at_once"):
    _is_busy = False

    async def scan(self, after: int, *, limit: int) -> Listing:
        self._is_busy = True
        await asyncio.sleep(0)
        self._is_busy = False
        return await super().scan(after, limit=limit)

    async def open(self) -> Opening:
        if self._is_busy:
            raise RuntimeError("another operation is in progress")
        return await super().open()


class RotatesNothing(
    Broken,
    found_by="a_rotation_draws_a_new_lineage only_the_first_of_several_rotations_does_anything",
):
    async def rotate(self, expected: str, *, register: int) -> Head:
        return self._head


class StartsOver(
    Broken, found_by="sequences_go_on_after_a_rotation a_rotation_draws_a_new_lineage"
):
    async def rotate(self, expected: str, *, register: int) -> Head:
        await super().rotate(expected, register=register)
        self._head = self._head._replace(position=Position(0))
        self._log.clear()
        self._nodes.clear()
        return self._head


class RotatesAnything(
    Broken,
    found_by="a_rotation_of_another_origin_does_nothing "
    "only_the_first_of_several_rotations_does_anything",
):
    async def rotate(self, expected: str, *, register: int) -> Head:
        return await super().rotate(self._head.origin, register=register)


class LowersTheRegister(Broken, found_by="the_register_never_falls"):
    async def rotate(self, expected: str, *, register: int) -> Head:
        head = await super().rotate(expected, register=register)
        self._head = head._replace(register=register)
        return self._head


class RotatesTwice(Broken, found_by="only_the_first_of_several_rotations_does_anything"):
    async def rotate(self, expected: str, *, register: int) -> Head:
        is_expected = self._head.origin == expected
        await asyncio.sleep(0)
        return await super().rotate(
            self._head.origin if is_expected else expected, register=register
        )


class RotatesBackInTime(Broken, found_by="a_rotation_beside_appends_loses_none"):
    async def rotate(self, expected: str, *, register: int) -> Head:
        before = self._head
        await asyncio.sleep(0)
        self._head = before
        return await super().rotate(expected, register=register)
