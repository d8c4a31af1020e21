-- Shared by the scripts that note where names may have members: see partitions.lua.

-- Notes that a partition may have members of names, from `first` on.
local function note_marks(of, names, first, ttl_ms, retention_ms)
  local ends_ms = now_ms + ttl_ms
  for from = first, #names, 256 do
    local due = {}
    for at = from, math.min(from + 255, #names) do
      local index = index_prefix .. names[at]
      local stamp = math.max(ends_ms, (guarded('ZSCORE', index, '~' .. of) or 0) + 1)
      redis.call('ZADD', index, string.format('%d', stamp), '~' .. of)
      due[#due + 1] = string.format('%d', ends_ms + retention_ms)
      due[#due + 1] = names[at]
    end
    guarded('ZADD', due_key, 'LT', unpack(due))
  end
end
