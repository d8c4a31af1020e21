-- Shared by the scripts that store, invalidate and reap: the fences of the clock, and its floor.

local function raise_floor(to)
  if to > floor then
    floor = to
    redis.call('ZADD', clock_key, -floor, '!floor')
  end
end

-- Fences below a score are dropped into the floor: 600 at once, which is more than one script adds.
-- Whether there may be more.
local function drop_fences(score)
  local upto = string.format('(%d', score)
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

-- Beyond `fences_max` the oldest fences are dropped. Those older than the retention are, as often
-- as a script moves the clock over the 256th part of a retention: 2,560 a second if it is a
-- minute.
local function tidy_fences(clock_was, retention_ms)
  local step_us = math.max(retention_ms * 1000 / 256, 1)
  if redis.call('ZCARD', clock_key) > fences_max then
    drop_fences(seq)
  elseif math.floor(clock_was / step_us) ~= math.floor(seq / step_us) then
    drop_fences(now_us - retention_ms * 1000)
  end
end

-- Every invalidation advances the clock, and fences what it is given: `names` from `first` on. True
-- if memory is full: Redis refuses growth only until a script has written, so this is the last
-- moment to find out, and a ZREM of nothing lets the rest of the script through, for a removal must
-- work then too.
local function advance_clock(names, first)
  seq = math.max(seq + 1, now_us)
  local score = string.format('%d', seq)
  local fences = { score, '!seq' }
  for at = first, #names do
    fences[#fences + 1] = score
    fences[#fences + 1] = names[at]
  end
  if type(redis.pcall('ZADD', clock_key, unpack(fences))) == 'number' then
    return false
  end
  redis.call('ZREM', clock_key, '!')
  redis.call('ZADD', clock_key, unpack(fences))
  return true
end
