-- One chunk of an invalidation.
--
-- KEYS  1 clock
-- ARGV  1 root  2 nonce  3 retention_ms  4 fences_max  5 budget of visits
--       6… names to invalidate (none: go on)
-- Reply { removed, what is still pending, seq, lost, replaced }: see guard.lua
--       removed: { entries, prefix, how many of them had it, prefix, … }
-- Cost  O(names + visits): see cascade.lua. Atomic: one chunk. All is done when nothing is pending.
open_clock()
for at = 6, #ARGV do
  fence(ARGV[at])
end
advance_clock()
local budget = tonumber(ARGV[5])
for at = 6, #ARGV do
  local name = ARGV[at]
  if string.sub(name, 1, 1) == 'k' then
    remove_entry(string.sub(name, 2), budget)
  else
    push(name)
  end
end
local left = drain(budget)
write_fences()
drop_fences(tonumber(ARGV[3]), tonumber(ARGV[4]))
return { removed, left, seq, lost, replaced_text() }
