-- Shared by the scripts that give a reading of the clock.

open_clock()
if not incarnation then
  incarnation = string.match(redis.call('ZRANGE', clock_key, '0', '0')[1], '^!inc:(%S+)$')
  if not incarnation then
    renew_clock()
  end
end

-- `incarnation seq now_ms replaced\nlearned`: which bookkeeping keys were replaced (the clock, or
-- none), and what earlier fills taught about the key, at most ARGV[3] bytes, because any program's
-- bytes may lie there; '' if nothing is known, or if it was not asked for (no `learned_key`).
local function reading(learned_key)
  local learned = learned_key and redis.pcall('GETRANGE', learned_key, '0', ARGV[3] - 1)
  return string.format('%s %d %d%s\n', incarnation, seq, now_ms, replaced)
    .. (type(learned) == 'string' and learned or '')
end
