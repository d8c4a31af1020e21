-- Asks for the exclusive right to load a key.
--
-- KEYS  1 clock  2 value  3 lease  4 learned, if it is asked for
-- ARGV  1 root  2 nonce  3 most bytes of what was learned  4 key  5 token  6 lease_ms
--       7 if present: 'return', 'ignore', or the times in the header of the value that does not
--       count (see the module `entry`): any other is returned
--       8 if held: 'wait', or the ms after which a lease is taken over
-- Reply { 'hit', value }, { 'granted', …reading } or { 'held', remaining_ms, …reading }: see
--       reading.lua
-- Cost  O(1). Atomic.
if ARGV[7] ~= 'ignore' then
  local value = redis.pcall('GET', KEYS[2])
  if type(value) == 'string' and (ARGV[7] == 'return' or string.sub(value, 21, 44) ~= ARGV[7]) then
    return { 'hit', value }
  end
end
open_clock()
-- A lease is `token incarnation seq since_ms takeovers`. One that the floor or a fence of the key
-- has overtaken is free: what its holder loads would be refused.
local takeovers = 0
local held = redis.pcall('GET', KEYS[3])
if type(held) == 'string' then
  local holder, of_incarnation, at_seq, since_ms, times = string.match(held, '^(%S+) (%S+) (%d+) (%d+) (%d+)$')
  local key_fence = tonumber(redis.call('ZSCORE', clock_key, 'k' .. ARGV[4]) or 0)
  at_seq = tonumber(at_seq or 0)
  if holder and holder ~= ARGV[5] and of_incarnation == incarnation and at_seq >= floor and key_fence <= at_seq then
    local remaining_ms = redis.call('PTTL', KEYS[3])
    if ARGV[8] ~= 'wait' then
      -- Half as long each time that the number of takeovers has doubled: see `IfHeld::spares_for`.
      local spared_ms, doubled = tonumber(ARGV[8]), tonumber(times)
      while doubled >= 2 do
        spared_ms, doubled = spared_ms / 2, math.floor(doubled / 2)
      end
      remaining_ms = math.min(remaining_ms, math.ceil(tonumber(since_ms) + spared_ms - now_ms))
    end
    if remaining_ms > 0 or ARGV[8] == 'wait' then
      return { 'held', remaining_ms, reading(KEYS[4]) }
    end
    takeovers = tonumber(times) + 1
  end
end
local lease = table.concat({ ARGV[5], incarnation, digits(seq), digits(now_ms), digits(takeovers) }, ' ')
redis.call('SET', KEYS[3], lease, 'PX', ARGV[6])
return { 'granted', reading(KEYS[4]) }
