-- A piece of the log, after a sequence.
--
-- ARGV      2 msgpack [the sequence, how many batches at most, how many bytes about]
-- Returns   {head}, if that sequence is not in the log; else {head, its tag, msgpack [entry...]}

local after, limit, bytes_max = unpack(cmsgpack.unpack(ARGV[2]))
local first = math.max(after, 1)
if first > head.sequence or first <= head.sequence - KEPT then
  return { packed(head) }
end
local entries, bytes = {}, 0
for sequence = after + 1, math.min(after + limit, head.sequence) do
  local entry = redis.call('HGET', LOG, digits(slot(sequence)))
  bytes = bytes + #entry
  if bytes > bytes_max and #entries > 0 then break end
  entries[#entries + 1] = entry
end
return { packed(head), after > 0 and tag_at(after) or 0, array(entries) }
