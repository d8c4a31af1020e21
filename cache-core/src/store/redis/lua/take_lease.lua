-- Asks for the exclusive right to load a key.
--
-- KEYS  1 clock  2 value  3 lease
-- ARGV  1 root  2 nonce  3 key  4 token  5 lease_ms  6 if present: 'return', 'ignore', or the times in the header
--       of the value that does not count (see the module `entry`): any other is returned
-- Reply { 'hit', value }, { 'granted', incarnation, seq, now_ms } or { 'held', incarnation, seq, now_ms, remaining_ms }
-- Cost  O(1). Atomic.
if ARGV[6] ~= 'ignore' then
  local value = redis.pcall('GET', KEYS[2])
  if type(value) == 'string' and (ARGV[6] == 'return' or string.sub(value, 21, 44) ~= ARGV[6]) then
    return { 'hit', value }
  end
end
open_clock()
-- A lease is `token incarnation seq`. One that the floor or a fence of the key has overtaken is free: what its holder loads
-- would be refused.
local held = redis.pcall('GET', KEYS[3])
if type(held) == 'string' then
  local holder, of_incarnation, at_seq = string.match(held, '^(%S+) (%S+) (%d+)$')
  local key_fence = tonumber(redis.call('ZSCORE', clock_key, 'k' .. ARGV[3]) or 0)
  at_seq = tonumber(at_seq or 0)
  if holder and holder ~= ARGV[4] and of_incarnation == incarnation and at_seq >= floor and key_fence <= at_seq then
    return { 'held', incarnation, seq, now_ms, redis.call('PTTL', KEYS[3]) }
  end
end
redis.call('SET', KEYS[3], ARGV[4] .. ' ' .. incarnation .. ' ' .. digits(seq), 'PX', ARGV[5])
return { 'granted', incarnation, seq, now_ms }
