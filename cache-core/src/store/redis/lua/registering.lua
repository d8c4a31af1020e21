-- Shared by the scripts that store: the memberships, as long as all is as usual, and whether
-- nothing is due to be reaped. If something is not as usual, `register` (see indexes.lua) does the
-- same again.
if is_usual and first <= #ARGV then
  local expires_at_ms = string.format('%d', now_ms + ttl_ms)
  local due_at_ms, due = string.format('%d', now_ms + ttl_ms + retention_ms), {}
  for at = first, #ARGV do
    local name = ARGV[at]
    due[#due + 1] = due_at_ms
    due[#due + 1] = name
    if type(redis.pcall('ZADD', index_prefix .. name, 'GT', expires_at_ms, key)) ~= 'number' then
      is_usual = false
      break
    end
  end
  redis.pcall('ZADD', due_key, 'LT', unpack(due))
end
-- Nor is it 0 if another program has overwritten the registry.
is_usual = is_usual and redis.pcall('ZCOUNT', due_key, '-inf', string.format('%d', now_ms)) == 0
