"""What servers tell each other about one origin: deltas, in pages, and how pages become whole.

A delta for an origin is everything of that origin in `(since, upto]`. It may be sent in pages, each
walking on in sequence order from where the last one ended, until it reaches the sender's digest.
Nothing of it counts before its last page: an entry that was touched again while the pages were read
has moved to a later page, so only the whole is *all* of the origin up to there.
"""

from __future__ import annotations

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


class Delta(msgspec.Struct, frozen=True, kw_only=True):
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
        touched: in sequence order; a batch is never split over two pages.
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


class Assembly:
    """The pages received so far of one delta of one origin."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: list[Delta] = []

    def add(self, page: Delta) -> Delta | None:
        """Take a page; the whole delta once its last page follows the others without a gap.

        A first page starts anew (its sender may be another than before); a page that does not
        continue the ones held is dropped, and the receiver asks again from its digest.
        """
        if page.after == page.since:
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
        )

    def _continues(self, page: Delta) -> bool:
        if not self._pages:
            return False
        previous = self._pages[-1]
        return (
            previous.since == page.since
            and previous.upto.sequence == page.after
            # One walk through one graph, in order: an entry that has moved on in one graph may
            # stand elsewhere in another, or in an earlier reading of the same.
            and previous.sender == page.sender
            and previous.position <= page.position
        )
