-- Shared by the scripts that store: what they are given, named once.
--
-- KEYS  1 clock  2 value  3 lease  4 learned
-- ARGV  1 root  2 nonce  3 key  4 token  5 incarnation  6 seq  7 read_at_ms  8 retention_ms
--       9 fences_max  10 ttl_ms  11 step (see each script)
--       12 first: position in the names from which this step registers
--       13 staging key or ''  14 value or ''
--       15 what the fill teaches of the key, or ''  16 ms for which that is kept  17… names
local value_key, lease_key, learned_key = KEYS[2], KEYS[3], KEYS[4]
local key, token, step = ARGV[3], ARGV[4], ARGV[11]
local reading_incarnation, reading_seq, read_at_ms = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local retention_ms, fences_max, ttl_ms = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local first, staging_key, value = tonumber(ARGV[12]), ARGV[13], ARGV[14]
local learned, learned_ms = ARGV[15], ARGV[16]
-- The names of the entry; the same with its key, as they are looked up among the fences; as a set.
local names, checked, kept = {}, { 'k' .. key }, {}
for at = 17, #ARGV do
  names[#names + 1] = ARGV[at]
  checked[#checked + 1] = ARGV[at]
  kept[ARGV[at]] = true
end

-- Why the value is refused at the reading of its load or write, or nil.
local function refusal_of_value()
  return refusal(checked, reading_incarnation, reading_seq, read_at_ms, retention_ms)
end

local function drop_staged()
  if staging_key ~= '' then
    redis.call('DEL', staging_key)
  end
end

local function store_value()
  store(value_key, value, staging_key, ttl_ms)
  learn(learned_key, learned, learned_ms)
end
