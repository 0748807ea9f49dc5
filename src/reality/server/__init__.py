"""The server: what waits and what is shared by threads. The rules are in `reality.core`.

server      RealityServer: sync, invalidate, hold, wake
holding     held syncs: tickets taken before the state is read
access      who may read, who may invalidate, which pages of other origins may ask
blocking    the same verbs for code without an event loop
"""
