-- Write-through: removes the key and what depends on it, and always fences the key. Stores the new
-- value unless something that it depends on was invalidated after the reading, or memory is full.
--
-- KEYS, ARGV  as filling.lua says; 11 is the budget of visits
-- Reply { 'stored' or why not (as fill.lua, or 'memory'), removed, what is still pending,
--         seq, lost, replaced }: see guard.lua
--       removed: { entries, prefix, how many of them had it, prefix, … }
-- Cost  O(names · log n + visits). Atomic up to the cascade's budget; the rest is pending.
open_clock()
-- Checked against the fences as they were, without the one that this write sets.
local why = refusal_of_value()

fence('k' .. key)
if advance_clock() then
  why = why or 'memory'
end
local budget = tonumber(step)
-- A value that is stored keeps the memberships that the old one had.
remove_entry(key, budget, not why and kept)
local left = drain(budget)
write_fences()

if why then
  drop_staged()
else
  register(key, names, first, ttl_ms, retention_ms)
  store_value()
end
reap_for(#names, retention_ms)
drop_fences(retention_ms, fences_max)
return { why or 'stored', removed, left, seq, lost, replaced_text() }
