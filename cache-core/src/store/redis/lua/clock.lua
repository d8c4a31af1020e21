-- Shared by every script: names of keys, the partition's clock, its fences and its floor.
--
-- ARGV[1] root: what every key of this partition starts with     ARGV[2] nonce: new for every send
-- Everything lives under the root, so in a cluster all keys of a script share one hash tag.
--
-- The clock is one sorted set without TTL, so that clock and fences are lost together or not at
-- all. Its members and their scores:
--   !inc:<incarnation>  -inf        !floor  -floor        !seq  seq        <name>  its fence
--   !reaped  -seq of the last reaping       !reaper  -µs when a process last came to reap
--   !run:<run id>  -seq with which the server of this run id began
local root, nonce = ARGV[1], ARGV[2]
local clock_key = root .. '~clock'

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

-- Lua prints numbers with 14 digits: a time in µs would lose its last ones.
local function digits(number)
  return string.format('%.0f', number)
end

-- Calls `command key …values`, a few hundred values at a time: unpack fails at about 8,000.
local function in_slices(command, key, values)
  for first = 1, #values, 400 do
    redis.call(command, key, unpack(values, first, math.min(first + 399, #values)))
  end
end

local incarnation, seq, floor

-- A missing (or unreadable) clock is made anew. Its incarnation is of this very call: a nonce of
-- the process would come back when the clock is lost twice, and readings from before the first loss
-- would count again.
local function renew_clock()
  incarnation = nonce .. '-' .. digits(now_us)
  seq = math.max((seq or 0) + 1, now_us)
  floor = seq
  redis.call('UNLINK', clock_key)
  redis.call('ZADD', clock_key, '-inf', '!inc:' .. incarnation, digits(-floor), '!floor', digits(seq), '!seq')
end

local function open_clock()
  local first = redis.call('ZRANGE', clock_key, 0, 0)[1]
  local scores = redis.call('ZMSCORE', clock_key, '!seq', '!floor')
  if not first or string.sub(first, 1, 5) ~= '!inc:' or not scores[1] or not scores[2] then
    return renew_clock()
  end
  incarnation, seq, floor = string.sub(first, 6), tonumber(scores[1]), -tonumber(scores[2])
end

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
