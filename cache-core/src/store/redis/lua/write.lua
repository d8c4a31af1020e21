-- Write-through: removes the key and what depends on it, and always fences the key. Stores the new
-- value unless something that it depends on was invalidated after the reading, or memory is full.
--
-- KEYS  1 clock  2 value  3 lease  4 learned
-- ARGV  as fill.lua; 11 is the budget of visits
-- Reply { 'stored' or why not (as fill.lua, or 'memory'), entries removed, what is still pending }
-- Cost  O(names · log n + visits). Atomic up to the cascade's budget; the rest is pending.
local key = ARGV[3]
local retention_ms, ttl_ms = tonumber(ARGV[8]), tonumber(ARGV[10])
local names, checked, kept = {}, { 'k' .. key }, {}
for at = 17, #ARGV do
  names[#names + 1] = ARGV[at]
  checked[#checked + 1] = ARGV[at]
  kept[ARGV[at]] = true
end

open_clock()
-- Checked against the fences as they were, without the one that this write sets.
local why = refusal(checked, ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), retention_ms)

fence('k' .. key)
if advance_clock() then
  why = why or 'memory'
end
local budget = tonumber(ARGV[11])
-- A value that is stored keeps the memberships that the old one had.
remove_entry(key, budget, not why and kept)
local left = drain(budget)
write_fences()

if why then
  if ARGV[13] ~= '' then
    redis.call('DEL', ARGV[13])
  end
else
  register(key, names, tonumber(ARGV[12]), ttl_ms, retention_ms)
  store(KEYS[2], ARGV[14], ARGV[13], ttl_ms)
  learn(KEYS[4], ARGV[15], ARGV[16])
end
reap_for(#names, retention_ms)
drop_fences(retention_ms, tonumber(ARGV[9]))
return { why or 'stored', removed, left }
