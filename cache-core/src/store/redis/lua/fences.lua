-- Shared by the scripts that store, invalidate and reap: the fences of the clock, and its floor.

local function raise_floor(to)
  if to > floor then
    floor = to
    redis.call('ZADD', clock_key, -floor, '!floor')
  end
end

-- Fences below a score are dropped into the floor: 600 at once, which is more than one script adds,
-- and those that have the score of the last of them. Whether there may be more.
local function drop_fences(score)
  local upto = string.format('(%d', score)
  local last = redis.call('ZRANGEBYSCORE', clock_key, 1, upto, 'WITHSCORES', 'LIMIT', 599, 1)
  local is_more = #last > 0
  if not is_more then
    last = redis.call('ZRANGE', clock_key, upto, 1, 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES')
  end
  local highest = tonumber(last[2] or 0)
  if highest > 0 then
    raise_floor(highest)
    redis.call('ZREMRANGEBYSCORE', clock_key, 1, last[2])
    -- The clock may have stood still for longer than fences are kept.
    if highest >= seq then
      redis.call('ZADD', clock_key, string.format('%d', seq), '!seq')
    end
  end
  return is_more
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
