-- Asks a partition whether it has members of names that are at home elsewhere, or has them closed,
-- and fences them: a load that began before, and has registered, must not add one after the answer.
--
-- KEYS  1 never
-- ARGV  1 root  2 primary  3 retention_ms  4… names
-- Reply { 1 or 0, … }, one for each name. Cost O(names · log n). Atomic.
open_clock()
local clock_was, reply = seq, {}
advance_clock(ARGV, 4)
for at = 4, #ARGV do
  local is_closed = redis.call('ZSCORE', clock_key, '!closed:' .. ARGV[at])
  reply[#reply + 1] = is_closed and 1 or redis.call('EXISTS', index_prefix .. ARGV[at])
end
tidy_fences(clock_was, tonumber(ARGV[3]))
return reply
