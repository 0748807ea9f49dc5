"""What belongs to one process is made anew in a child, before anything there can use it.

In a child of a fork only the forking thread lives on: locks that others held stay locked, their
event loops stand still. Python calls the function registered here in the child before `os.fork`
returns, so no thread can come in between, and the hottest path need not ask which process it is in.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Owner = TypeVar("Owner")

_renewals: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def renew_after_fork(owner: Owner, renew: Callable[[Owner], None]) -> None:
    """Call `renew(owner)` in every child, for as long as somebody else keeps the owner.

    It should be quick: most children never use what their parent had.
    """
    _renewals[owner] = renew


def _renew_all() -> None:
    for owner, renew in list(_renewals.items()):
        renew(owner)


os.register_at_fork(after_in_child=_renew_all)
