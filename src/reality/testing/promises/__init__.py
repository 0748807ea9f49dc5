"""The promises of `reality.storage.base`, one file a group; `reality.testing.storage` joins them.

`bench` says how a promise is tested: read it first.
"""
