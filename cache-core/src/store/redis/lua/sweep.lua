-- One page of a pattern walk, or of `clear`.
--
-- KEYS  1 clock
-- ARGV  1 root  2 primary  3 retention_ms  4 scope: 'values' or 'indexes'  5 physical glob
--       6 cursor  7 keys per page
-- Reply { '<next cursor, 0: the end> <incarnation>', removed, left, seq, lost, replaced }: see
--         cascade.lua and guard.lua
--       removed: { entries, prefix, how many of them had it, prefix, … }
-- Cost  O(keys per page + visits); SCAN, never KEYS. Atomic: one page.
--
-- Every page raises the floor, not the first alone. A fill that began between two pages may have
-- been made from an entry that a later page removes, or that expired before its page came. At the
-- floor no name of the page needs a fence.
open_clock()
local clock_was = seq
advance_clock({}, 1)
raise_floor(seq)
local page = redis.call('SCAN', ARGV[6], 'MATCH', ARGV[5], 'COUNT', ARGV[7])
local names = {}
if ARGV[4] == 'indexes' then
  for _, index in ipairs(page[2]) do
    local name = string.sub(index, #index_prefix + 1)
    if string.find(name, '^[kst]') then
      names[#names + 1] = name
    else
      redis.call('UNLINK', index)
    end
  end
  if page[1] == '0' then
    -- What no invalidation need ever touch is looked at here, so that `clear` mends it.
    guarded('ZCARD', due_key)
  end
else
  for _, value_key in ipairs(page[2]) do
    local key = string.sub(value_key, #root + 1)
    if string.sub(key, 1, 1) ~= '~' then
      names[#names + 1] = 'k' .. key
    end
  end
end
take(names, 1, '', ARGV[4] == 'indexes', {})
local removed, left = finish()
tidy_fences(clock_was, tonumber(ARGV[3]))
return with_encounter({ page[1] .. ' ' .. incarnation_here(), removed, left, seq, lost, replaced }, names, 1)
