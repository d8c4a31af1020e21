-- Shared by the scripts that store or remove: the indexes, which say which key has which name.
--
-- ~index:<name>  sorted set of the keys that have a name, by the expiry of their entries in ms
-- ~due           sorted set of the names of indexes, by when there is something to reap
local due_key = root .. '~due'

local function index_key(name)
  return root .. '~index:' .. name
end

-- The names block of a stored entry ("\n" name "\n" name … "\n"), or '' if the entry has no names
-- or the bytes are not an entry; and whether anything is stored. Header layout: the module `entry`.
local function names_of(value_key)
  local head = redis.pcall('GETRANGE', value_key, 0, 1079)
  if type(head) ~= 'string' or #head < 56 then
    return '', head ~= ''
  end
  local bytes = struct.unpack('<I4', head, 53)
  if #head >= 56 + bytes then
    return string.sub(head, 57, 56 + bytes), true
  end
  return redis.call('GETRANGE', value_key, 56, 55 + bytes), true
end

-- Registers memberships before the value is stored: an entry never lives without them. Scores are
-- only raised, because a short-lived member must not shorten another's stay. The registry of due
-- times leads back to the index when there is something to reap.
local function register(key, names, first, ttl_ms, retention_ms)
  local expires_at_ms = digits(now_ms + ttl_ms)
  local due_at_ms = digits(now_ms + ttl_ms + retention_ms)
  for at = first, #names do
    redis.call('ZADD', index_key(names[at]), 'GT', expires_at_ms, key)
    redis.call('ZADD', due_key, 'LT', due_at_ms, names[at])
  end
end

-- An entry that is gone, or no longer has all the names of a block, leaves the indexes of these
-- names: `count_max` at most, and none in `kept`. Empty indexes leave the registry. Returns how
-- many indexes it left.
local function leave(key, block, kept, count_max)
  local count, emptied = 0, {}
  for name in string.gmatch(block, '[^\n]+') do
    if count == count_max then
      break
    end
    if not kept[name] then
      count = count + 1
      local index = index_key(name)
      redis.call('ZREM', index, key)
      if redis.call('EXISTS', index) == 0 then
        emptied[#emptied + 1] = name
      end
    end
  end
  in_slices('ZREM', due_key, emptied)
  return count
end
