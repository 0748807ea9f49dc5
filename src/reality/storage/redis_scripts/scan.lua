-- Names in the order of their last touch, after a sequence; the last batch of them whole.
--
-- ARGV      2 msgpack [the sequence, how many names about]
-- Returns   {msgpack [[name, node]...], 1 if there are more else 0}

local after, limit = unpack(cmsgpack.unpack(ARGV[2]))
local found = redis.call('ZRANGEBYSCORE', ORDER, '(' .. digits(after), '+inf', 'WITHSCORES',
  'LIMIT', '0', digits(limit))
if #found == 0 then
  return { array({}), 0 }
end
local last, names = digits(found[#found]), {}
for at = 1, #found, 2 do
  if digits(found[at + 1]) == last then break end
  names[#names + 1] = found[at]
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', ORDER, last, last)) do
  names[#names + 1] = name
end
local listed = {}
for at, node in ipairs(nodes_of(names)) do
  listed[at] = '\146' .. cmsgpack.pack(names[at]) .. node
end
local more = redis.call('ZCOUNT', ORDER, '(' .. last, '+inf') > 0
return { array(listed), more and 1 or 0 }
