-- Stores a loaded value with its memberships, or refuses it.
--
-- KEYS  1 clock  2 value  3 lease  4 learned
-- ARGV  1 root  2 nonce  3 key  4 token  5 incarnation  6 seq  7 read_at_ms  8 retention_ms
--       9 fences_max  10 ttl_ms
--       11 step: 'store', or 'register' (memberships only: a slice of many names, before the step
--       that stores)
--       12 first: position in the names from which this step registers
--       13 staging key or ''  14 value or ''
--       15 what the fill teaches of the key, or ''  16 ms for which that is kept  17… names
-- Reply 'stored', or why not: 'incarnation' 'floor' 'old' 'fenced'
-- Cost  O(names · log n). Atomic: check, memberships, value and lease together.
local key, token = ARGV[3], ARGV[4]
local retention_ms, ttl_ms, step = tonumber(ARGV[8]), tonumber(ARGV[10]), ARGV[11]
local names, checked = {}, { 'k' .. key }
for at = 17, #ARGV do
  names[#names + 1] = ARGV[at]
  checked[#checked + 1] = ARGV[at]
end

open_clock()
local why = refusal(checked, ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), retention_ms)
if why then
  if ARGV[13] ~= '' then
    redis.call('DEL', ARGV[13])
  end
  release_lease(KEYS[3], token)
  return why
end

local first = tonumber(ARGV[12])
register(key, names, first, ttl_ms, retention_ms)
reap_for(#names - first + 1, retention_ms)
if step == 'register' then
  return 'stored'
end
local old_block = names_of(KEYS[2])
leave_indexes(key, old_block, names)
store(KEYS[2], ARGV[14], ARGV[13], ttl_ms)
learn(KEYS[4], ARGV[15], ARGV[16])
release_lease(KEYS[3], token)
drop_fences(retention_ms)
return 'stored'
