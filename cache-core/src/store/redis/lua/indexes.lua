-- Shared by the scripts that store or remove: who belongs to what.
--
-- ~index:<name>  sorted set of the keys that have a name, by the expiry of their entries in ms
-- ~due           sorted set of the names of indexes, by when there is something to reap

-- Of what is stored under a key: the names block ("\n" name "\n" name … "\n"), '' if there is none,
-- and the bytes of the payload, 0 if what is there is not ours, nil if nothing is. Header layout:
-- the module `entry`.
local function names_of(value_key)
  local head = redis.pcall('GETRANGE', value_key, '0', '1079')
  if type(head) ~= 'string' or #head < 56 then
    return '', head ~= '' and 0 or nil
  end
  local payload, bytes = struct.unpack('<I4I4', head, 49)
  if #head >= 56 + bytes then
    return string.sub(head, 57, 56 + bytes), payload
  end
  return redis.call('GETRANGE', value_key, 56, 55 + bytes), payload
end

-- Memberships before the value: an entry never lives without them. Scores are only raised: a
-- short-lived member must not shorten another's stay. The registry of due times finds the index
-- again when there is something to reap.
local function register(key, names, first, ttl_ms, retention_ms)
  local expires_at_ms = string.format('%d', now_ms + ttl_ms)
  local due_at_ms = string.format('%d', now_ms + ttl_ms + retention_ms)
  for from = first, #names, 256 do
    local due = {}
    for at = from, math.min(from + 255, #names) do
      local name = names[at]
      guarded('ZADD', index_prefix .. name, 'GT', expires_at_ms, key)
      due[#due + 1] = due_at_ms
      due[#due + 1] = name
    end
    guarded('ZADD', due_key, 'LT', unpack(due))
  end
end

-- How memberships end. A function of functions: a script that ends none does not make them.
--
-- leave   An entry that is gone, or no longer has all the names of a block, is to leave their
--         indexes, `count_max` at most, but for those in `kept`. Returns how many.
-- finish  Ends these memberships. Empty indexes leave the registry.
local function leaving()
  -- The keys by the names that they leave, and these in order, with their indexes.
  local leavers, names, indexes = {}, {}, {}

  local function leave(key, block, kept, count_max)
    local count = 0
    for name in string.gmatch(block, '[^\n]+') do
      if count == count_max then
        break
      end
      if not kept[name] then
        count = count + 1
        local keys = leavers[name]
        if keys then
          keys[#keys + 1] = key
        else
          leavers[name] = { key }
          names[#names + 1] = name
          indexes[#indexes + 1] = index_prefix .. name
        end
      end
    end
    return count
  end

  local function finish()
    for first = 1, #names, 400 do
      local last, emptied = math.min(first + 399, #names), {}
      for at = first, last do
        in_slices('ZREM', indexes[at], leavers[names[at]])
      end
      if redis.call('EXISTS', unpack(indexes, first, last)) <= last - first then
        for at = first, last do
          if redis.call('EXISTS', indexes[at]) == 0 then
            emptied[#emptied + 1] = names[at]
          end
        end
        in_slices('ZREM', due_key, emptied)
      end
    end
    leavers, names, indexes = {}, {}, {}
  end

  return leave, finish
end
