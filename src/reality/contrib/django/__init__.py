"""The Django app `reality.contrib.django`: its tables by migrations, and `DjangoStorage` on them.

Add "reality.contrib.django" to INSTALLED_APPS and run `manage.py migrate`.

    apps        the app's name and label
    fields      columns typed as the store types them
    models      the three tables, for migrations only: nobody reads or writes rows through them
    executor    runs the store's statements on Django connections of its own
    storage     `DjangoStorage`, which can be imported from here too
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reality.errors import MissingDependency

try:
    import django as _installed  # noqa: F401 - whether it is
except ImportError as error:
    raise MissingDependency(
        "django", extra="django", needed_for="reality.contrib.django"
    ) from error

if TYPE_CHECKING:
    from reality.contrib.django.storage import DjangoStorage

__all__ = ("DjangoStorage",)


def __getattr__(name: str) -> object:
    # Loaded when it is used: Django imports this package before its settings are complete.
    if name == "DjangoStorage":
        from reality.contrib.django.storage import DjangoStorage

        return DjangoStorage
    raise AttributeError(f"module 'reality.contrib.django' has no attribute {name!r}")
