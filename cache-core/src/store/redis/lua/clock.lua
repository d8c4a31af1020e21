-- Shared by every script that knows the partition's clock.
--
-- The clock is one sorted set without TTL, so that clock and fences are lost together or not at
-- all. Its members and their scores:
--   !inc:<incarnation>  -inf        !floor  -floor        !seq  seq        <name>  its fence
--   !reaped  -seq of the last reaping       !reaper  -µs when a process last came to reap
--   !reign:<run id>/<replication id>  -seq with which this primary began
--   !closed, !closed:…, !mark:…  between 0 and 1: see closings.lua
--   !lost  -seq when members were found to be lost

-- A missing (or unreadable) clock is made anew. Its incarnation is of this very call: a nonce of
-- the process would come back when the clock is lost twice, and readings from before the first loss
-- would count again.
local function renew_clock()
  incarnation = string.format('%s-%d', nonce, now_us)
  seq = math.max((seq or 0) + 1, now_us)
  floor = seq
  redis.call('UNLINK', clock_key)
  redis.call('ZADD', clock_key, '-inf', '!inc:' .. incarnation, -floor, '!floor', seq, '!seq')
  if lost > 0 then
    redis.call('ZADD', clock_key, -lost, '!lost')
  end
end

-- What the clock shows, but for its incarnation: that is for a reading alone (see reading.lua).
local function open_clock()
  local scores = redis.pcall('ZMSCORE', clock_key, '!seq', '!floor', '!lost')
  if scores[1] and scores[2] then
    seq, floor, lost = tonumber(scores[1]), -scores[2], -(scores[3] or 0)
    return
  end
  if scores.err then
    if not string.find(scores.err, 'WRONGTYPE', 1, true) then
      redis.call('ZMSCORE', clock_key, '!seq')
    end
    replaced = replaced .. ' clock'
  end
  renew_clock()
end
