-- Shared by the scripts that give a reading of the clock.

-- Incarnation, seq, now in ms, which bookkeeping keys were replaced (the clock, or ''), and what
-- earlier fills taught about the key: at most ARGV[3] bytes,
-- because any program's bytes may lie there. '' if nothing is known, or if it was not asked for (no
-- `learned_key`).
local function reading(learned_key)
  local learned = learned_key and redis.pcall('GETRANGE', learned_key, 0, ARGV[3] - 1)
  return incarnation, seq, now_ms, replaced_text(), type(learned) == 'string' and learned or ''
end
