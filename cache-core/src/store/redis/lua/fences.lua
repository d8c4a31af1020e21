-- Shared by the scripts that store, invalidate and reap: the fences of the clock, and its floor.

local function raise_floor(to)
  if to > floor then
    floor = to
    redis.call('ZADD', clock_key, digits(-floor), '!floor')
  end
end

-- Names to fence, each once: those that an invalidation is given are written as the clock advances,
-- the others at the end.
local fenced, unwritten = {}, {}

local function fence(name)
  if not fenced[name] then
    fenced[name] = true
    unwritten[#unwritten + 1] = name
  end
end

local function take_unwritten()
  local score, fences = digits(seq), {}
  for at, name in ipairs(unwritten) do
    fences[2 * at - 1], fences[2 * at] = score, name
  end
  unwritten = {}
  return fences
end

local function write_fences()
  -- At the floor a fence says nothing that the floor does not.
  if floor < seq then
    in_slices('ZADD', clock_key, take_unwritten())
  end
end

-- Every invalidation advances the clock. True if memory is full: Redis refuses growth only until a
-- script has written, so this is the last moment to find out, and a ZREM of nothing lets the rest
-- of the script through, for a removal must work then too.
local function advance_clock()
  seq = math.max(seq + 1, now_us)
  unwritten[#unwritten + 1] = '!seq'
  local fences = take_unwritten()
  local is_full = type(redis.pcall('ZADD', clock_key, unpack(fences))) ~= 'number'
  if is_full then
    redis.call('ZREM', clock_key, '!')
    redis.call('ZADD', clock_key, unpack(fences))
  end
  return is_full
end

-- Fences older than the retention are dropped into the floor, and where some are added the oldest
-- beyond `fences_max`: 600 at once, which is more than one script adds. Whether there may be more.
local function drop_fences(retention_ms, fences_max)
  local upto = '(' .. digits(now_us - retention_ms * 1000)
  if fences_max and redis.call('ZCARD', clock_key) > fences_max then
    upto = '(' .. digits(seq)
  end
  local old = redis.call('ZRANGEBYSCORE', clock_key, 1, upto, 'WITHSCORES', 'LIMIT', 0, 600)
  local names, highest = {}, 0
  for at = 1, #old, 2 do
    if old[at] ~= '!seq' then
      names[#names + 1] = old[at]
      highest = tonumber(old[at + 1])
    end
  end
  if #names > 0 then
    raise_floor(highest)
    in_slices('ZREM', clock_key, names)
  end
  return #old == 1200
end
