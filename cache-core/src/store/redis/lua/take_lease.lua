-- What grant.lua has not answered.
--
-- A lease that the floor or a fence of the key has overtaken is free, and so is that of a closed
-- key: what its holder loads would be refused. One that was taken later than now is from before the
-- clock was set back: it would last until the clock is there again, even if its holder is gone.
local takeovers = 0
local held = redis.pcall('GET', KEYS[3])
if type(held) == 'string' then
  local holder, of_incarnation, at_seq, since_ms, times = string.match(held, '^(%S+) (%S+) (%S+) (%d+) (%d+)$')
  local may_stand = holder and holder ~= ARGV[5] and of_incarnation == incarnation and tonumber(since_ms) <= now_ms
  local shown = redis.call('ZMSCORE', clock_key, 'k' .. ARGV[4], '!closed:k' .. ARGV[4])
  local key_fence = shown[2] and math.huge or tonumber(shown[1] or 0)
  at_seq = tonumber(at_seq or 0)
  if may_stand and at_seq >= floor and key_fence <= at_seq then
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
      return string.format('held %d ', math.max(remaining_ms, 0)) .. reading(KEYS[4])
    end
    takeovers = tonumber(times) + 1
  end
end
local lease = string.format('%s %s %d %d %d', ARGV[5], incarnation, seq, now_ms, takeovers)
redis.call('SET', KEYS[3], lease, 'PX', ARGV[6])
return 'granted ' .. reading(KEYS[4])
