-- Write-through: removes the key and what depends on it, and always fences the key. Stores the new
-- value unless something that it depends on was invalidated after the reading, or memory is full.
--
-- KEYS, ARGV  as filling.lua and opening.lua say
-- Reply { 'stored' or why not (as fill.lua, or 'memory'), removed, left, seq, lost, replaced }: see
--         cascade.lua and guard.lua
--       removed: { entries, prefix, how many of them had it, prefix, … }
-- Cost  O(names · log n + visits). Atomic up to the cascade's budget.
--
-- Most often nothing depends on the key, and an entry that is replaced has the names of the new
-- one. If something is not as usual, write.lua does all of this again. The fences were looked at as
-- they were, without the one that is set here.
local clock_was, own, replaces = seq, 'k' .. key, nil
local step_us = math.max(retention_ms * 1000 / 256, 1)
if is_usual and not is_partition and seq < now_us and math.floor(seq / step_us) == math.floor(now_us / step_us)
  and redis.call('ZCARD', clock_key) <= fences_max
  and (floor and lost == 0 or not floor and not redis.call('ZSCORE', clock_key, '!lost'))
  and redis.call('EXISTS', index_prefix .. own) == 0 then
  local head = redis.pcall('GETRANGE', value_key, '0', '1079')
  if head == '' then
    replaces = { 0 }
  elseif type(head) == 'string' and #head >= 56 then
    local names_end = 56 + struct.unpack('<I4', head, 53)
    if string.sub(head, 53, names_end) == string.sub(value, 53, names_end) then
      replaces = { 1, string.match(key, '^[^:]*'), 1 }
    end
  end
end
is_usual = false
if replaces then
  local now = time[1] .. string.sub('00000' .. time[2], -6)
  is_usual = type(redis.pcall('ZADD', clock_key, now, '!seq', now, own)) == 'number'
  seq = is_usual and now_us or seq
end
