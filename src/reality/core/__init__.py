"""The rules of Reality, pure: no I/O, no clock, no randomness, no threads, no logging.

Read in this order:

    keys        what a key and a pattern are
    limits      every bound of the system
    messages    what travels on the wire          codec    bytes <-> messages
    cursor      what a client has accounted for   recency  names in the order of their last touch
    replica     what a server knows, and takes in             delta   what servers exchange
    graph       what of it is news to a client                history what tells lineages apart
    waiters     which held syncs a touch concerns
    freshness   one key of a client: a total transition table
    polling     one shard of a client: a total transition table, pacing and the breaker
    servers     which of several servers a client asks next
    backoff     how long to wait after a failure
    hashing     `create_hash`                      tokens   what may be a credential
    urls        where a server is

Time and random numbers are arguments everywhere.
"""
