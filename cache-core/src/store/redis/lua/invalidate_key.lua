-- One chunk of an invalidation.
--
-- KEYS  1 clock
-- ARGV  1 root  2 primary  3 retention_ms
--       4 '', or for what a script has left: how often the budget is doubled, 1 if the entries of
--       the names stay or 0, and the place in the first one's index to go on behind, or ''
--       5… names to invalidate
-- Reply { removed, left, seq, lost, replaced }: see cascade.lua and guard.lua; of a partition more:
--         see encounter.lua
--       removed: { entries, prefix, how many of them had it, prefix, … }
--       Of one key that fell alone: seq, or -seq if no entry was there. A reply in parts takes as
--       long as two commands.
-- Cost  O(names + visits): see cascade.lua. Atomic: one chunk.
--
-- Most often one key falls that nothing depends on. What this part has done when it finds out that
-- more is needed is gone on with by invalidate.lua.
local retention_ms, shown = tonumber(ARGV[3]), redis.pcall('ZMSCORE', clock_key, '!seq', '!lost', primary)
local clock_was, removed, left_block = tonumber(shown[1] or 0), nil, nil
if #ARGV == 5 and ARGV[4] == '' and string.sub(ARGV[5], 1, 1) == 'k' and not is_partition
  and clock_was < now_us and not shown[2] and shown[3] and redis.call('EXISTS', index_prefix .. ARGV[5]) == 0 then
  local key = string.sub(ARGV[5], 2)
  local value_key, block = root .. key, nil
  local head = redis.pcall('GETRANGE', value_key, '0', '1079')
  if head == '' then
    block = ''
  elseif type(head) == 'string' and #head >= 56 then
    local bytes = struct.unpack('<I4', head, 53)
    block = #head >= 56 + bytes and string.sub(head, 57, 56 + bytes)
  end
  local now = time[1] .. string.sub('00000' .. time[2], -6)
  if block and type(redis.pcall('ZADD', clock_key, now, '!seq', now, ARGV[5])) == 'number' then
    seq = now_us
    redis.call('UNLINK', value_key, root .. '~lease:' .. key)
    if block ~= '' then
      local indexes = {}
      for name in string.gmatch(block, '[^\n]+') do
        local index = index_prefix .. name
        if type(redis.pcall('ZREM', index, key)) ~= 'number' then
          left_block = block
        end
        indexes[#indexes + 1] = index
      end
      if redis.call('EXISTS', unpack(indexes)) < #indexes then
        left_block = block
      end
    end
    local step_us = math.max(retention_ms * 1000 / 256, 1)
    if not left_block and redis.call('ZCARD', clock_key) <= fences_max
      and math.floor(clock_was / step_us) == math.floor(now_us / step_us) then
      return head == '' and -seq or seq
    end
    removed = head == '' and { 0 } or { 1, string.match(key, '^[^:]*'), 1 }
  end
end
