-- The nodes of some names.
--
-- ARGV      2 msgpack [name...]
-- Returns   msgpack [node or nil...]

local nodes = nodes_of(cmsgpack.unpack(ARGV[2]))
for at, node in ipairs(nodes) do
  nodes[at] = node or '\192'
end
return array(nodes)
