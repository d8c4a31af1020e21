-- Shared by every script that knows the partition's clock.
--
-- The clock is one sorted set without TTL, so that clock and fences are lost together or not at
-- all. Its members and their scores:
--   !inc:<incarnation>  -inf        !floor  -floor        !seq  seq        <name>  its fence
--   !reaped  -seq of the last reaping       !reaper  -µs when a process last came to reap
--   !reign:<run id>/<replication id>  -seq with which this primary began; 16 bytes of each
--   !closed, !closed:…, !mark:…  between 0 and 1: see closings.lua
--   !lost  -seq when members were found to be lost

-- A missing (or unreadable) clock is made anew, and so is one that another primary has written:
-- this one may have lagged behind it. Its incarnation is of this very call: one that came back when
-- the clock is lost twice would let readings from before the first loss count again. Time alone
-- would not do, for it may be set back, and what a server tells of itself is never the same twice.
-- The primary's mark is noted with what it began with: by that whoever comes later finds what it
-- has lost. What is closed stays closed: the operations go on.
local function renew_clock(began)
  local closings = seq and redis.call('ZRANGEBYSCORE', clock_key, '(0', '(1', 'WITHSCORES') or {}
  local told = redis.pcall('INFO')
  incarnation = redis.sha1hex((type(told) == 'string' and told or primary) .. string.format('%.17g', now_us))
  seq = math.max((seq or 0) + 1, now_us)
  floor = seq
  redis.call('UNLINK', clock_key)
  -- In this order: '!seq' may stand for the mark.
  redis.call('ZADD', clock_key, '-inf', '!inc:' .. incarnation, -floor, '!floor', -(began or seq), primary, seq, '!seq')
  for first = 1, #closings, 400 do
    local slice = {}
    for at = first, math.min(first + 399, #closings), 2 do
      slice[#slice + 1], slice[#slice + 2] = closings[at + 1], closings[at]
    end
    redis.call('ZADD', clock_key, unpack(slice))
  end
  if lost > 0 then
    redis.call('ZADD', clock_key, -lost, '!lost')
  end
end

-- What the clock shows, but for its incarnation: that is for a reading alone (see reading.lua).
local function open_clock()
  local scores = redis.pcall('ZMSCORE', clock_key, '!seq', '!floor', '!lost', primary)
  if scores[1] and scores[2] then
    seq, floor, lost = tonumber(scores[1]), -scores[2], -(scores[3] or 0)
    if scores[4] then
      return
    end
    -- The connection may stand since an earlier reign of this very primary. Both marks are its own
    -- then. A server that tells nothing to a script is who the connection says.
    local told, mark = redis.pcall('INFO', 'server', 'replication'), primary
    local run_id = type(told) == 'string' and string.match(told, 'run_id:([^\r\n]+)')
    if run_id then
      local replication_id = string.match(told, 'master_replid:([^\r\n]+)') or ''
      mark = '!reign:' .. string.sub(run_id, 1, 16) .. '/' .. string.sub(replication_id, 1, 16)
    end
    local began = redis.call('ZSCORE', clock_key, mark)
    if not began then
      began = -seq
      renew_clock(seq)
    end
    -- Lets the rest through when memory is full, as in `advance_clock`.
    redis.call('ZREM', clock_key, '!')
    redis.call('ZADD', clock_key, began, primary, began, mark)
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
