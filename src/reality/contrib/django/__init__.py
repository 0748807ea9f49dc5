"""The Django app `reality.contrib.django`: its tables by migrations, and `DjangoStorage` on them.

Add "reality.contrib.django" to INSTALLED_APPS and run `manage.py migrate`.

    apps        the app's name and label
    fields      columns typed as the store types them
    models      the three tables, for migrations only: nobody reads or writes rows through them
    executor    runs the store's statements on Django connections of its own
    storage     `DjangoStorage`
"""

from __future__ import annotations

from reality.errors import MissingDependency

try:
    import django as _installed  # noqa: F401 - whether it is
except ImportError as error:
    raise MissingDependency(
        "django", extra="django", needed_for="reality.contrib.django"
    ) from error
