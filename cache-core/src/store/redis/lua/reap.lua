-- Reaps when no fill does. Every process that has work on record here sends it now and then.
--
-- KEYS  1 clock
-- ARGV  1 root  2 primary  3 retention_ms
--       4 pause_ms between two calls while there is more to do  5 looks_max
-- Reply 'more' at once, 'later', or 'nothing' is left on record; of a partition { this, name, … }:
--       names that have marks whose time has passed, 16 at most, each told once
-- Cost  O(looks). Atomic: each membership for itself.
local retention_ms, pause_ms = tonumber(ARGV[3]), tonumber(ARGV[4])

local function reply_of(on_record)
  if not is_partition then
    return on_record
  end
  local marked = guarded('ZRANGE', root .. '~marked', 0, 15)
  if #marked > 0 then
    redis.call('ZREM', root .. '~marked', unpack(marked))
  end
  return { #marked == 16 and 'more' or on_record, unpack(marked) }
end

if redis.call('EXISTS', clock_key, due_key) == 0 then
  return reply_of('nothing')
end
open_clock()
-- One process reaps at a time; the others come back later. A process can reap twice in one pause
-- only if the clock was set.
local since_us = now_us + tonumber(redis.call('ZSCORE', clock_key, '!reaper') or 0)
if since_us >= 0 and since_us < pause_ms * 500 then
  return reply_of('later')
end
-- Lets the rest through when memory is full, as in `advance_clock`.
redis.call('ZREM', clock_key, '!')
redis.call('ZADD', clock_key, -now_us, '!reaper')
reap(retention_ms, tonumber(ARGV[5]))
local is_dropping = drop_fences(now_us - retention_ms * 1000)
if looks <= 0 or is_dropping then
  return reply_of('more')
end
-- Fences that are not old yet count as work too.
if redis.call('EXISTS', due_key) == 1 or #redis.call('ZRANGEBYSCORE', clock_key, 1, '+inf', 'LIMIT', 0, 2) > 1 then
  return reply_of('later')
end
return reply_of('nothing')
