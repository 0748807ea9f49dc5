-- A new lineage, if the origin still is the expected one.
--
-- ARGV      2 msgpack [the expected origin, the least register]
-- Returns   head

local expected, register = unpack(cmsgpack.unpack(ARGV[2]))
if head.store_id .. '@' .. head.lineage == expected then
  head.lineage, head.register = NEW_LINEAGE, math.max(head.register, register)
  redis.call('HSET', STORE, 'lineage', head.lineage, 'register', digits(head.register))
  announce()
end
return packed(head)
