-- Where the store stands, and the whole ring of tags.
return { packed(head), redis.call('GETRANGE', TAGS, '0', '-1') }
