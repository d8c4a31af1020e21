-- Shared by the scripts that give a reading of the clock.

-- Incarnation, seq, now in ms, and what fills taught of the key before: at most ARGV[3] bytes of
-- it, for anything may lie there. '' if nothing is known, or, without `learned_key`, asked for.
local function reading(learned_key)
  local learned = learned_key and redis.pcall('GETRANGE', learned_key, 0, ARGV[3] - 1)
  return incarnation, seq, now_ms, type(learned) == 'string' and learned or ''
end
