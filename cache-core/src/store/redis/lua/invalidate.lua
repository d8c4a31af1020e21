-- What invalidate_key.lua has not done.
open_clock()
local left = 0
if not removed then
  clock_was = seq
  advance_clock(ARGV, 4)
  take(ARGV, 4, {})
  removed, left = drain()
elseif left_block then
  local leave, finish_leaving = leaving()
  leave(string.sub(ARGV[4], 2), left_block, {})
  finish_leaving()
end
tidy_fences(clock_was, retention_ms)
return { removed, left, seq, lost, replaced }
