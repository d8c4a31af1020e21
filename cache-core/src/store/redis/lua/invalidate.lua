-- What invalidate_key.lua has not done.
open_clock()
local left = {}
if not removed then
  clock_was = seq
  if is_partition then
    note_fences({ unpack(ARGV, 5) })
  end
  advance_clock(ARGV, 5)
  local doubled, spares, after = string.match(ARGV[4], '^(%d+) (%d) (.*)$')
  budget = visits_max * 2 ^ (doubled or 0)
  budget_of_circles = budget
  take(ARGV, 5, after or '', spares == '1', {})
  removed, left = finish()
elseif left_block then
  local leave, finish_leaving = leaving()
  leave(string.sub(ARGV[5], 2), left_block, {})
  finish_leaving()
end
tidy_fences(clock_was, retention_ms)
return with_encounter({ removed, left, seq, lost, replaced }, ARGV, 5)
