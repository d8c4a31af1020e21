-- One page of a pattern walk, or of `clear`.
--
-- KEYS  1 clock
-- ARGV  1 root  2 nonce  3 retention_ms  4 fences_max  5 budget of visits
--       6 scope: 'values' or 'indexes'  7 physical glob  8 cursor  9 keys per page
-- Reply { next cursor ('0': the end), removed, what is still pending, seq, lost,
--         replaced }: see guard.lua
--       removed: { entries, prefix, how many of them had it, prefix, … }
-- Cost  O(keys per page + visits); SCAN, never KEYS. Atomic: one page.
--
-- Every page raises the floor, not the first alone. A fill that began between two pages may have
-- been made from an entry that a later page removes, or that expired before its page came.
open_clock()
advance_clock()
raise_floor(seq)
local budget = tonumber(ARGV[5])
local index_prefix = root .. '~index:'
local page = redis.call('SCAN', ARGV[8], 'MATCH', ARGV[7], 'COUNT', ARGV[9])
for _, physical in ipairs(page[2]) do
  if ARGV[6] == 'indexes' then
    local name = string.sub(physical, #index_prefix + 1)
    if string.find(name, '^[kt]') then
      fence(name)
      push(name)
    else
      redis.call('UNLINK', physical)
    end
  else
    local key = string.sub(physical, #root + 1)
    if string.sub(key, 1, 1) ~= '~' then
      remove_entry(key, budget)
    end
  end
end
if ARGV[6] == 'indexes' and page[1] == '0' then
  -- What no invalidation need ever touch is looked at here, so that `clear` mends it.
  guarded('SCARD', leaving_key)
  guarded('ZCARD', due_key)
end
local left = drain(budget)
write_fences()
drop_fences(tonumber(ARGV[3]), tonumber(ARGV[4]))
return { page[1], removed, left, seq, lost, replaced_text() }
