-- Asks for the exclusive right to load a key.
--
-- KEYS  1 clock  2 value  3 lease  4 learned, if it is asked for
-- ARGV  1 root  2 primary  3 most bytes of what was learned  4 key  5 token  6 lease_ms
--       7 if present: 'return', 'ignore', or the times in the header of the value that does not
--       count (see the module `entry`): any other is returned
--       8 if held: 'wait', or the ms after which a lease is taken over
-- Reply { value }, `granted reading` or `held remaining_ms reading`: see reading.lua
-- Cost  O(1). Atomic.
--
-- A lease is `token incarnation seq since_ms takeovers`.
if ARGV[7] ~= 'ignore' then
  local value = redis.pcall('GET', KEYS[2])
  if type(value) == 'string' and (ARGV[7] == 'return' or string.sub(value, 21, 44) ~= ARGV[7]) then
    return { value }
  end
end

-- Most often nobody has the lease, and there is nothing to learn from. The incarnation that the
-- process saw last, as an argument, would spare the ZRANGE: 6 % of the instructions of this script,
-- 3 % of a miss (callgrind), for something more that each process keeps, and another way through.
if not KEYS[4] then
  local first = redis.pcall('ZRANGE', clock_key, '0', '0')[1]
  local shown = redis.pcall('ZMSCORE', clock_key, '!seq', primary)
  local of_incarnation = first and shown[2] and string.match(first, '^!inc:(%S+)$')
  if of_incarnation then
    local reading = of_incarnation .. ' ' .. shown[1] .. ' ' .. time[1] .. string.sub('00000' .. time[2], -6, -4)
    if redis.call('SET', KEYS[3], ARGV[5] .. ' ' .. reading .. ' 0', 'PX', ARGV[6], 'NX') then
      return 'granted ' .. reading .. '\n'
    end
  end
end
