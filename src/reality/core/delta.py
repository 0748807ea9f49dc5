"""What servers tell each other about one origin: deltas, in pages, and how pages become whole.

A delta for an origin is everything of that origin in `(since, upto]`. It may be sent in pages, each
walking on in sequence order from where the last one ended, until it reaches the sender's digest.
Nothing of it counts before its last page: an entry that was touched again while the pages were read
has moved to a later page, so only the whole is *all* of the origin up to there.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

from reality.core.cursor import Position


class Touched(msgspec.Struct, frozen=True, gc=False):
    """One name as one origin knows it.

    Attributes:
        name: key or pattern.
        sequence: the last batch of the origin that touched it.
        touches: how many batches of the origin have touched it, from the first on.
        hash: hash of the data as of that batch; "" is unknown.
        updated_at: milliseconds since the epoch, for display only.
        deleted: whether that batch deleted it.
    """

    name: str
    sequence: int
    touches: int
    hash: str
    updated_at: int
    deleted: bool


class Mark(NamedTuple):
    """Where a page begins or ends: all of the batches up to `sequence` is before it.

    With a `name`, of the batch `sequence` itself only the names up to that one are: a batch that is
    too large for one message goes on in the next, in the order of its names.
    """

    sequence: int
    name: str = ""


class Delta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page of what an origin did after `since`.

    Attributes:
        origin: whose batches these are.
        sender: own origin of the graph that the page was read from.
        position: that graph's local apply position when the page was read.
        register: the sender's register, max-merged by the receiver.
        since: the receiver must hold exactly this sequence of the origin for the delta to apply.
        after: where this page begins; equal to `since` on the first page.
        upto: where this page ends; on the last page the sender's digest.
        last: whether this page ends the delta.
        touched: in sequence order, and where a batch is split in the order of names.
        since_tag: the tag of `since`, where the origin is durable.
        after_name: with `after`, the page's first mark; see `Mark`.
        upto_name: with `upto`, its last; "" on the last page.
        past: positions of a durable origin that the sender knows to be on the way to `upto`, so
            that the receiver can tell whether others have followed the same history.
    """

    origin: str
    sender: str
    position: int
    register: int
    since: int
    after: int
    upto: Position
    last: bool
    touched: tuple[Touched, ...]
    since_tag: int = 0
    after_name: str = ""
    upto_name: str = ""
    past: tuple[Position, ...] = ()

    @property
    def begins(self) -> Mark:
        """Where this page begins."""
        return Mark(self.after, self.after_name)

    @property
    def ends(self) -> Mark:
        """Where this page ends, and the next begins."""
        return Mark(self.upto.sequence, self.upto_name)


_encoded = msgspec.json.Encoder().encode


def cut_page(
    touched: Iterable[Touched], begins: Mark, *, names_max: int, bytes_max: int | None = None
) -> tuple[list[Touched], Mark | None]:
    """What fits in one page, and where it ends; None if that is all.

    Args:
        touched: in sequence order; from the batch `begins.sequence` on if `begins` has a name, else
            from the next.
        begins: where the page begins.
        names_max: no batch is begun once the page has so many names.
        bytes_max: how many bytes the entries may take, each as a JSON array of its fields. Only
            this splits a batch. A page has at least one name.
    """
    taken: list[Touched] = []
    size = 0
    for sequence, batch in groupby(touched, key=attrgetter("sequence")):
        if len(taken) >= names_max:
            return taken, Mark(taken[-1].sequence)
        if bytes_max is None:
            taken += batch
            continue
        entries = list(batch)
        if len(entries) > 1:
            entries.sort(key=attrgetter("name"))
        for each in entries:
            if sequence == begins.sequence and each.name <= begins.name:
                continue
            size += len(_encoded(msgspec.structs.astuple(each))) + 1
            if taken and size > bytes_max:
                return taken, Mark(taken[-1].sequence, taken[-1].name)
            taken.append(each)
    return taken, None


class Assembly:
    """The pages received so far of one delta of one origin."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: list[Delta] = []

    def add(self, page: Delta) -> Delta | None:
        """Take a page; the whole delta once its last page follows the others without a gap.

        A first page starts anew (its sender may be another than before); a page that does not
        continue the ones held is dropped, and the receiver asks again from its digest. A page that
        is whole by itself leaves the ones held alone.
        """
        if page.begins == Mark(page.since):
            if page.last:
                return page
            self._pages = []
        elif not self._continues(page):
            self._pages = []
            return None
        self._pages.append(page)
        if not page.last:
            return None
        pages, self._pages = self._pages, []
        return Delta(
            origin=page.origin,
            sender=page.sender,
            position=page.position,
            register=max(each.register for each in pages),
            since=page.since,
            after=page.since,
            upto=page.upto,
            last=True,
            touched=tuple(touched for each in pages for touched in each.touched),
            since_tag=page.since_tag,
            past=page.past,
        )

    @property
    def names(self) -> int:
        """How many entries are held."""
        return sum(len(page.touched) for page in self._pages)

    @property
    def progress(self) -> Delta | None:
        """The last page held: from whom, and how far."""
        return self._pages[-1] if self._pages else None

    def _continues(self, page: Delta) -> bool:
        if not self._pages:
            return False
        previous = self._pages[-1]
        return (
            (previous.since, previous.since_tag) == (page.since, page.since_tag)
            and previous.ends == page.begins
            # One walk through one graph, in order: an entry that has moved on in one graph may
            # stand elsewhere in another, or in an earlier reading of the same.
            and previous.sender == page.sender
            and previous.position <= page.position
        )
