-- What every script begins with: the parts of the store, and `stand`, which finds them whole or
-- makes a new store.
--
-- KEYS      store, nodes, order, log, tags
-- ARGV      1 msgpack [schema, batches kept in the log, channel, a fresh store id, a fresh lineage],
--           2 the script's own arguments. No more than these: of a client without a password Redis
--           reads ten words, and breaks the connection if there are more.
--
-- store     hash: schema, store_id, lineage, sequence, tag, register, touches, nodes (how many)
-- nodes     hash: name -> msgpack [touches, sequence, hash, updated_at, deleted]
-- order     sorted set: each name by the sequence that touched it last
-- log       hash, a ring: (sequence - 1) % kept -> msgpack [sequence, touches of each name, batch],
--           the batch being [tag, touches_min, hash, updated_at, deleted, names]
-- tags      string, a ring like the log: four bytes for each tag, big-endian

local STORE, NODES, ORDER, LOG, TAGS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local SCHEMA, KEPT, CHANNEL, NEW_STORE_ID, NEW_LINEAGE = unpack(cmsgpack.unpack(ARGV[1]))
-- Lua passes at most some 8,000 values to one call.
local NAMES_A_CALL_MAX = 500

-- Whole numbers up to 2^53, as Redis would rather write 4.5e15.
local function digits(number)
  return string.format('%.0f', number)
end

local function slot(sequence)
  return (sequence - 1) % KEPT
end

local function tag_at(sequence)
  local offset = digits(slot(sequence) * 4)
  return (struct.unpack('>I4', redis.call('GETRANGE', TAGS, offset, digits(offset + 3))))
end

-- A msgpack array of values that are packed already.
local function array(packed)
  return '\221' .. struct.pack('>I4', #packed) .. table.concat(packed)
end

local function packed(head)
  return cmsgpack.pack(
    { head.store_id, head.lineage, head.sequence, head.tag, head.register, head.touches })
end

-- The values of many fields of `nodes`: what is not there is false.
local function nodes_of(names)
  local found = {}
  for first = 1, #names, NAMES_A_CALL_MAX do
    local last = math.min(first + NAMES_A_CALL_MAX - 1, #names)
    for at, node in ipairs(redis.call('HMGET', NODES, unpack(names, first, last))) do
      found[first + at - 1] = node
    end
  end
  return found
end

-- Only a hint, so a user who may not publish may still write.
local function announce()
  redis.pcall('PUBLISH', CHANNEL, '')
end

local function make()
  redis.call('UNLINK', STORE, NODES, ORDER, LOG, TAGS)
  redis.call('HSET', STORE, 'schema', digits(SCHEMA), 'store_id', NEW_STORE_ID,
    'lineage', NEW_LINEAGE, 'sequence', '0', 'tag', '0', 'register', '0', 'touches', '0', 'nodes', '0')
  announce()
  return {
    store_id = NEW_STORE_ID, lineage = NEW_LINEAGE,
    sequence = 0, tag = 0, register = 0, touches = 0,
  }
end

-- The head. A store of which a part is gone or does not fit the others is a store no longer: what
-- is left of it is dropped, and another begins, whose origin tells the servers.
local function stand()
  local held = redis.call('HMGET', STORE, 'schema', 'store_id', 'lineage', 'sequence', 'tag',
    'register', 'touches', 'nodes')
  -- Each of these also refuses a key of another type, before anything was written.
  local nodes, ordered = redis.call('HLEN', NODES), redis.call('ZCARD', ORDER)
  local logged, tagged = redis.call('HLEN', LOG), redis.call('STRLEN', TAGS)
  local schema = tonumber(held[1])
  if schema ~= SCHEMA and redis.call('EXISTS', STORE) == 1 then
    return nil, redis.error_reply('SCHEMA ' .. tostring(held[1]))
  end
  for field = 1, 8 do
    if not held[field] then return make() end
  end
  local head = {
    store_id = held[2], lineage = held[3], sequence = tonumber(held[4]), tag = tonumber(held[5]),
    register = tonumber(held[6]), touches = tonumber(held[7]),
  }
  local kept = math.min(head.sequence, KEPT)
  if nodes ~= tonumber(held[8]) or ordered ~= nodes or logged ~= kept or tagged ~= kept * 4
    or (kept > 0 and tag_at(head.sequence) ~= head.tag) then
    return make()
  end
  return head
end

local head, refusal = stand()
if refusal then return refusal end
