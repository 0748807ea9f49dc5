"""The published contract for stores by URL, in databases of a private server or in files."""

from __future__ import annotations

from reality.storage.base import Storage
from reality.storage.sql import SQLStorage
from reality.testing.storage import Load, StorageContract


class ContractByURL(StorageContract):
    """A subclass says where a new, empty database is."""

    load = Load(appends=30, names=2_000)

    def new_url(self) -> str:
        raise NotImplementedError

    def new_storage(self) -> Storage:
        return self._storage(self.new_url())

    def same_storage(self, storage: Storage) -> Storage:
        return self._storage(self.urls[storage])

    @property
    def urls(self) -> dict[Storage, str]:
        """Where the stores of this test are; pytest makes a new instance for each."""
        urls: dict[Storage, str] = self.__dict__.setdefault("_urls", {})
        return urls

    def _storage(self, url: str) -> Storage:
        storage = SQLStorage(url=url)
        self.urls[storage] = url
        return storage
