-- Asks for the exclusive right to load a key.
--
-- KEYS  1 clock  2 value  3 lease  4 learned, if it is asked for
-- ARGV  1 root  2 nonce  3 most bytes of what was learned  4 key  5 token  6 lease_ms  7 if present: 'return', 'ignore',
--       or the times in the header of the value that does not count (see the module `entry`): any other is returned
-- Reply { 'hit', value }, { 'granted', incarnation, seq, now_ms, learned or '' } or
--       { 'held', remaining_ms, incarnation, seq, now_ms, learned or '' }
-- Cost  O(1). Atomic.
if ARGV[7] ~= 'ignore' then
  local value = redis.pcall('GET', KEYS[2])
  if type(value) == 'string' and (ARGV[7] == 'return' or string.sub(value, 21, 44) ~= ARGV[7]) then
    return { 'hit', value }
  end
end
open_clock()
-- A lease is `token incarnation seq`. One that the floor or a fence of the key has overtaken is free: what its holder loads
-- would be refused.
local held = redis.pcall('GET', KEYS[3])
if type(held) == 'string' then
  local holder, of_incarnation, at_seq = string.match(held, '^(%S+) (%S+) (%d+)$')
  local key_fence = tonumber(redis.call('ZSCORE', clock_key, 'k' .. ARGV[4]) or 0)
  at_seq = tonumber(at_seq or 0)
  if holder and holder ~= ARGV[5] and of_incarnation == incarnation and at_seq >= floor and key_fence <= at_seq then
    return { 'held', redis.call('PTTL', KEYS[3]), reading(KEYS[4]) }
  end
end
redis.call('SET', KEYS[3], ARGV[5] .. ' ' .. incarnation .. ' ' .. digits(seq), 'PX', ARGV[6])
return { 'granted', reading(KEYS[4]) }
