-- What was fenced since a look at the clock. Writes nothing, and may be run by EVAL_RO.
--
-- KEYS  1 clock
-- ARGV  1 seq of that look, 1 at least  2 most names
-- Reply { incarnation or '', seq, floor, 1 if there are more names, or 0, name, … }
-- Cost  O(log n + names). Atomic.
local first = redis.pcall('ZRANGE', KEYS[1], '0', '0')[1]
local incarnation = first and string.match(first, '^!inc:(%S+)$')
local shown = redis.pcall('ZMSCORE', KEYS[1], '!seq', '!floor')
if not incarnation or not shown[1] or not shown[2] then
  return { '', '0', '0', 0 }
end
-- Marks lie below 1, and all else that is no fence below 0, but for !seq.
local most = tonumber(ARGV[2])
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'LIMIT', 0, most + 2)
local reply = { incarnation, string.format('%d', shown[1]), string.format('%d', -shown[2]), 0 }
for _, name in ipairs(found) do
  if name ~= '!seq' then
    if #reply == most + 4 then
      reply[4] = 1
      break
    end
    reply[#reply + 1] = name
  end
end
return reply
