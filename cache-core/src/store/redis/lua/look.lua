-- Looks for marks of a name whose time has passed, and fences the name: who reaps its marks fences
-- it, as who settles them has.
--
-- KEYS  1 never
-- ARGV  1 root  2 primary  3 retention_ms  4 name
-- Reply { incarnation, seq, number of the other partition, stamp, … }: 64 marks at most
-- Cost  O(log n). Atomic.
open_clock()
local dead_since = string.format('%d', now_ms - ARGV[3])
local found = guarded('ZRANGEBYSCORE', index_prefix .. ARGV[4], '-inf', dead_since, 'WITHSCORES', 'LIMIT', 0, 64)
local clock_was, reply = seq, {}
for at = 1, #found, 2 do
  if string.byte(found[at]) == 126 then
    reply[#reply + 1] = string.sub(found[at], 2)
    reply[#reply + 1] = found[at + 1]
  end
end
if #reply > 0 then
  advance_clock(ARGV, 4)
  tidy_fences(clock_was, tonumber(ARGV[3]))
end
return { incarnation_here(), string.format('%d', seq), unpack(reply) }
