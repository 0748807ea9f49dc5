-- Record batches, each under the next sequence.
--
-- ARGV      2 the batches, as in the log, one after the other
-- Returns   msgpack [head, [sequence, tag] before, touches of each name of each batch]

local before = { head.sequence, head.tag }
local batches, sources, all_touches = {}, {}, {}
local from = 0
while from >= 0 and from < #ARGV[2] do
  local upto, batch = cmsgpack.unpack_one(ARGV[2], from)
  batches[#batches + 1] = batch
  sources[#batches] = string.sub(ARGV[2], from + 1, upto)
  from = upto
end

-- Writes the nodes of one batch; returns how many touches each of its names has now.
local function touch(sequence, batch)
  local touches_min, names = batch[2], batch[6]
  local rest = cmsgpack.pack(sequence, batch[3], batch[4], batch[5])
  local score = digits(sequence)
  local held, touches = nodes_of(names), {}
  for first = 1, #names, NAMES_A_CALL_MAX do
    local nodes, order = {}, {}
    for at = first, math.min(first + NAMES_A_CALL_MAX - 1, #names) do
      local known = 0
      if held[at] then
        local _, count = cmsgpack.unpack_one(held[at], 1)
        known = count
      end
      local now = math.max(known + 1, touches_min)
      head.touches = head.touches + now - known
      touches[at] = now
      nodes[#nodes + 1] = names[at]
      nodes[#nodes + 1] = '\149' .. cmsgpack.pack(now) .. rest
      order[#order + 1] = score
      order[#order + 1] = names[at]
    end
    redis.call('HSET', NODES, unpack(nodes))
    redis.call('ZADD', ORDER, unpack(order))
  end
  return touches
end

if #batches > 0 then
  head.sequence, head.tag = before[1] + #batches, batches[#batches][1]
  -- First the head, last its tag: should Redis stop this script between its writes (which takes a
  -- user who may do only some of them), the two do not fit, and `stand` will see it. A Redis
  -- without memory refuses the first write, and only the first.
  redis.call('HSET', STORE, 'sequence', digits(head.sequence), 'tag', digits(head.tag))
  for at, batch in ipairs(batches) do
    local sequence = before[1] + at
    local touches = touch(sequence, batch)
    local place = slot(sequence)
    local entry = '\147' .. cmsgpack.pack(sequence, touches) .. sources[at]
    redis.call('HSET', LOG, digits(place), entry)
    redis.call('SETRANGE', TAGS, digits(place * 4), struct.pack('>I4', batch[1]))
    all_touches[at] = touches
  end
  redis.call('HSET', STORE, 'touches', digits(head.touches),
    'nodes', digits(redis.call('HLEN', NODES)))
  announce()
end
return '\147' .. packed(head) .. cmsgpack.pack(before, all_touches)
