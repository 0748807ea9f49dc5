"""Stores whose `changes`, `read` or `scan` breaks a promise each."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

from reality.core.changelog import Batch, Changes, Listing, Logged, Opening
from reality.core.cursor import Position
from reality.core.delta import Touched
from tests.testing.broken import Broken, changed


class TellsBatchZero(Broken, found_by="an_empty_store_has_no_changes"):
    async def changes(self, after: int, *, limit: int) -> Changes:
        if self._head.position.sequence == 0:
            return Changes(self._head, (Logged(Position(0), ()),))
        return await super().changes(after, limit=limit)


class BeginsAfter(
    Broken,
    found_by="changes_begin_with_the_batch_asked_for changes_together_are_what_is_read",
):
    async def changes(self, after: int, *, limit: int) -> Changes:
        head, batches = await super().changes(after, limit=limit)
        return Changes(head, batches[1:] if after else batches)


class BeginsAtTheHead(Broken, found_by="changes_begin_nowhere_beyond_the_head"):
    async def changes(self, after: int, *, limit: int) -> Changes:
        return await super().changes(min(after, self._head.position.sequence), limit=limit)


class CountsTheFirst(Broken, found_by="changes_go_on_however_small_the_limit"):
    async def changes(self, after: int, *, limit: int) -> Changes:
        return await super().changes(after, limit=limit - (after > 0))


class LeavesOutForTheNextAnswer(Broken, found_by="changes_go_on_however_small_the_limit"):
    async def changes(self, after: int, *, limit: int) -> Changes:
        head, batches = await super().changes(after, limit=limit)
        return Changes(head, tuple(map(self._coalesced, batches)))

    def _coalesced(self, logged: Logged) -> Logged:
        last = tuple(each for each in logged.touched if self._nodes[each.name] == each)
        return Logged(logged.position, last)


class TellsEverything(Broken, found_by="changes_end_about_where_the_limit_says"):
    async def changes(self, after: int, *, limit: int) -> Changes:
        return await super().changes(after, limit=10**9)


class TellsAnOldHead(
    Broken,
    found_by="the_head_is_of_the_same_state",
):
    async def changes(self, after: int, *, limit: int) -> Changes:
        _, batches = await super().changes(after, limit=limit)
        head, _ = await super().changes(self._head.position.sequence - 1, limit=1)
        old = self._log.get(head.position.sequence - 1)
        return Changes(head._replace(position=old.position) if old else head, batches)


class LogsTwoNames(Broken, found_by="changes_together_are_what_is_read"):
    async def changes(self, after: int, *, limit: int) -> Changes:
        head, batches = await super().changes(after, limit=limit)
        return Changes(head, tuple(Logged(each.position, each.touched[:2]) for each in batches))


class KeepsAHundred(
    Broken, found_by="the_log_keeps_the_last_ten_thousand opening_tells_the_recent_positions"
):
    _kept = 100

    def _record(self, batch: Batch) -> Logged:
        logged = super()._record(batch)
        self._log.pop(logged.position.sequence - self._kept, None)
        return logged

    async def open(self) -> Opening:
        head, recent = await super().open()
        return Opening(head, recent[:10])


class TellsATrimmedLog(Broken, found_by="the_log_keeps_the_last_ten_thousand"):
    async def changes(self, after: int, *, limit: int) -> Changes:
        return await super().changes(max(after, next(iter(self._log), 1)), limit=limit)


class RemembersTooMuch(Broken, found_by="opening_tells_the_recent_positions"):
    async def open(self) -> Opening:
        head, recent = await super().open()
        first = recent[0].sequence if recent else 1
        return Opening(head, (*(Position(each, 1) for each in range(1, first)), *recent))


class ReadsEverything(Broken, found_by="names_never_touched_are_left_out"):
    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        return dict(self._nodes)


class InventsNodes(Broken, found_by="names_never_touched_are_left_out"):
    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        return {name: Touched(name, 0, 0, "", 0, False) for name in names} | (
            await super().read(names)
        )


class ReadsListsOnly(Broken, found_by="any_collection_of_names_can_be_read"):
    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        return await super().read([names[index] for index in range(len(names))])  # type: ignore[index]


class ReadsACopy(
    Broken,
    found_by="a_read_tells_all_that_was_appended_before a_batch_becomes_the_last_of_its_names",
):
    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        if not hasattr(self, "_copy"):
            self._copy = dict(self._nodes)
        return {name: self._copy[name] for name in names if name in self._copy}


class CutsNames(Broken, found_by="every_well_formed_name_is_kept_as_it_is"):
    def name_kept(self, name: str) -> str:
        return name[:255]

    def misread(self, batch: Batch) -> Batch:
        return changed(batch, names=tuple(dict.fromkeys(map(self.name_kept, batch.names))))

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        found = ((name, self._nodes.get(self.name_kept(name))) for name in names)
        return {name: each for name, each in found if each is not None}


class FoldsCase(
    CutsNames, found_by="every_well_formed_name_is_kept_as_it_is names_are_not_found_under_others"
):
    def name_kept(self, name: str) -> str:
        return name.lower()


class Normalises(
    CutsNames, found_by="every_well_formed_name_is_kept_as_it_is names_are_not_found_under_others"
):
    def name_kept(self, name: str) -> str:
        return unicodedata.normalize("NFC", name)


class StripsSpaces(
    CutsNames, found_by="every_well_formed_name_is_kept_as_it_is names_are_not_found_under_others"
):
    def name_kept(self, name: str) -> str:
        return name.rstrip(" ") or " "


class CountsIn32Bits(Broken, found_by="numbers_up_to_the_greatest_version_are_exact"):
    def misread(self, batch: Batch) -> Batch:
        return changed(batch, updated_at=min(batch.updated_at, 2**31 - 1))


class CutsHashes(Broken, found_by="hashes_are_kept_as_they_are"):
    def misread(self, batch: Batch) -> Batch:
        return changed(batch, hash=batch.hash[:255])


class ScansByName(Broken, found_by="a_scan_goes_in_the_order_of_the_last_touch"):
    async def scan(self, after: int, *, limit: int) -> Listing:
        touched, more = await super().scan(after, limit=limit)
        return Listing(tuple(sorted(touched, key=lambda each: each.name)), more)


class ScansFrom(Broken, found_by="a_scan_begins_after_a_sequence"):
    async def scan(self, after: int, *, limit: int) -> Listing:
        return await super().scan(after - 1, limit=limit)


class SplitsPages(
    Broken,
    found_by="a_scan_never_splits_a_batch a_batch_may_hold_ten_thousand_names",
):
    async def scan(self, after: int, *, limit: int) -> Listing:
        touched, more = await super().scan(after, limit=limit)
        return Listing(touched[: limit - 1 or 1], more or limit <= len(touched))


class ScansEverything(Broken, found_by="a_scan_ends_about_where_the_limit_says"):
    async def scan(self, after: int, *, limit: int) -> Listing:
        return await super().scan(after, limit=10**9)


class AlwaysPromisesMore(Broken, found_by="a_scan_says_truly_whether_there_is_more"):
    async def scan(self, after: int, *, limit: int) -> Listing:
        touched, _ = await super().scan(after, limit=limit)
        return Listing(touched, more=len(touched) >= limit)


class WalksThroughASnapshot(Broken, found_by="a_walk_meets_every_name_while_others_are_touched"):
    async def scan(self, after: int, *, limit: int) -> Listing:
        if after == 0:
            self._upto = self._head.position.sequence
        touched, more = await super().scan(after, limit=limit)
        within = tuple(each for each in touched if each.sequence <= self._upto)
        return Listing(within, more and len(within) == len(touched))
