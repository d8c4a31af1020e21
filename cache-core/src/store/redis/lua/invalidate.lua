-- One chunk of an invalidation.
--
-- KEYS  1 clock
-- ARGV  1 root  2 nonce  3 retention_ms  4 fences_max  5 budget of members to visit  6… names to invalidate (none: go on)
-- Reply { entries removed, names still pending }
-- Cost  O(names + members visited). Atomic: one chunk. All is done when nothing is pending.
open_clock()
advance_clock()
for at = 6, #ARGV do
  local name = ARGV[at]
  if string.sub(name, 1, 1) == 'k' then
    remove_entry(string.sub(name, 2))
  else
    fence(name)
    push(name)
  end
end
local left = drain(tonumber(ARGV[5]))
write_fences()
drop_fences(tonumber(ARGV[3]), tonumber(ARGV[4]))
return { removed, left }
