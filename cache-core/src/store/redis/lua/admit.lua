-- Shared by the scripts that store: whether a value loaded at a reading of the clock may be stored,
-- and how it is registered.

-- Why a value loaded (or written) after `reading_seq` of `reading_incarnation` is refused; nil if
-- it is not.
local function refusal(names, reading_incarnation, reading_seq, read_at_ms, retention_ms)
  if reading_incarnation ~= incarnation then
    return 'incarnation'
  end
  if reading_seq < floor then
    return 'floor'
  end
  -- Dead members leave their indexes after the retention. A load older than that may depend on a
  -- member that is no longer reached.
  if now_ms - read_at_ms > retention_ms then
    return 'old'
  end
  -- The server's clock was ahead at the last reaping, and was set back. So ages tell nothing about
  -- loads that began before that reaping.
  if now_us < seq and reading_seq < -tonumber(redis.call('ZSCORE', clock_key, '!reaped') or 0) then
    return 'old'
  end
  for first = 1, #names, 400 do
    local scores = redis.call('ZMSCORE', clock_key, unpack(names, first, math.min(first + 399, #names)))
    for _, score in ipairs(scores) do
      if score and tonumber(score) > reading_seq then
        return 'fenced'
      end
    end
  end
  return nil
end

-- A replaced entry leaves the indexes that the new entry is not in. But not while something depends
-- on the key: that may have been made from the replaced entry, and is reached through these
-- memberships alone.
local function leave_indexes(key, old_block, names)
  if old_block == '' or redis.call('EXISTS', index_key('k' .. key)) == 1 then
    return
  end
  local kept = {}
  for _, name in ipairs(names) do
    kept[name] = true
  end
  leave(key, old_block, kept, 256)
  finish_leaving()
end

-- `value` holds the bytes to store. If `staging_key` is not '', the bytes are under that key
-- instead: large values are not copied through Lua.
local function store(value_key, value, staging_key, ttl_ms)
  if staging_key == '' then
    redis.call('SET', value_key, value, 'PX', digits(ttl_ms))
  else
    redis.call('RENAME', staging_key, value_key)
    redis.call('PEXPIRE', value_key, digits(ttl_ms))
  end
end

-- Kept beside the entry and for longer. Runs after the value is stored: a value that is not stored
-- teaches nothing.
local function learn(learned_key, learned, kept_ms)
  if learned ~= '' then
    redis.call('SET', learned_key, learned, 'PX', kept_ms)
  end
end

local function release_lease(lease_key, token)
  local held = redis.pcall('GET', lease_key)
  if type(held) == 'string' and string.sub(held, 1, #token) == token then
    redis.call('DEL', lease_key)
  end
end
