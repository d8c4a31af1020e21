-- Stores a loaded value with its memberships, or refuses it.
--
-- KEYS, ARGV  as filling.lua says
-- Reply `stored` or why not: `incarnation` `floor` `old` `fenced` `closed`; then what was replaced,
--       each after a space: see guard.lua
-- Cost  O(names · log n). Atomic: check, memberships, value and lease together.
--
-- Most often no entry is replaced. What the script has done when it finds out that something is not
-- as usual is done again by fill.lua.
if is_usual and redis.call('SET', value_key, value, 'PX', ARGV[9], 'NX') then
  if KEYS[4] then
    redis.call('SET', KEYS[4], ARGV[12], 'PX', ARGV[13])
  end
  local held = redis.pcall('GET', lease_key)
  if type(held) == 'string' and string.sub(held, 1, #token) == token then
    redis.call('DEL', lease_key)
  end
  return 'stored'
end
