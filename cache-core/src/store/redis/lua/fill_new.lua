-- Stores a loaded value with its memberships, or refuses it.
--
-- KEYS, ARGV  as filling.lua says
-- Reply `stored` or why not: `incarnation` `floor` `old` `fenced` `closed`; then what was replaced,
--       each after a space: see guard.lua
-- Cost  O(names · log n). Atomic: check, memberships, value and lease together.
--
-- Most often nothing is closed, no entry is replaced and nothing is due to be reaped. What this
-- part has done when it finds out that it is not so is done again by fill.lua.
if not why and not any_closed and ARGV[10] == '0' and value ~= '' then
  local is_usual, expires_at_ms = true, string.format('%d', now_ms + ttl_ms)
  if names_at <= #ARGV then
    local due_at_ms, due = string.format('%d', now_ms + ttl_ms + retention_ms), {}
    for at = names_at, #ARGV do
      local name = ARGV[at]
      due[#due + 1] = due_at_ms
      due[#due + 1] = name
      if type(redis.pcall('ZADD', index_prefix .. name, 'GT', expires_at_ms, key)) ~= 'number' then
        is_usual = false
        break
      end
    end
    is_usual = is_usual and type(redis.pcall('ZADD', due_key, 'LT', unpack(due))) == 'number'
  end
  if is_usual and redis.pcall('ZCOUNT', due_key, '-inf', string.format('%d', now_ms)) == 0
    and redis.call('SET', value_key, value, 'PX', ARGV[9], 'NX') then
    if KEYS[4] then
      redis.call('SET', KEYS[4], ARGV[12], 'PX', ARGV[13])
    end
    local held = redis.pcall('GET', lease_key)
    if type(held) == 'string' and string.sub(held, 1, #token) == token then
      redis.call('DEL', lease_key)
    end
    return 'stored'
  end
end
