-- Shared by every script: names of keys, and the partition's clock.
--
-- ARGV[1] root: what every key of this partition starts with     ARGV[2] nonce: new for every send
-- Everything lives under the root, so in a cluster all keys of a script share one hash tag.
--
-- The clock is one sorted set without TTL, so that clock and fences are lost together or not at
-- all. Its members and their scores:
--   !inc:<incarnation>  -inf        !floor  -floor        !seq  seq        <name>  its fence
--   !reaped  -seq of the last reaping       !reaper  -µs when a process last came to reap
--   !reign:<run id>/<replication id>  -seq with which this primary began
--   !lost  -seq when members were found to be lost
local root, nonce = ARGV[1], ARGV[2]
local clock_key = root .. '~clock'

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

-- Lua prints numbers with 14 digits: a time in µs would lose its last ones.
local function digits(number)
  return string.format('%.0f', number)
end

local incarnation, seq, floor
-- The kinds of bookkeeping keys that another program had overwritten and that this script has
-- replaced, each once; and the mark of a loss of members (see guard.lua), 0 if there is none.
local replaced, lost = {}, 0

-- A missing (or unreadable) clock is made anew. Its incarnation is of this very call: a nonce of
-- the process would come back when the clock is lost twice, and readings from before the first loss
-- would count again.
local function renew_clock()
  incarnation = nonce .. '-' .. digits(now_us)
  seq = math.max((seq or 0) + 1, now_us)
  floor = seq
  redis.call('UNLINK', clock_key)
  redis.call('ZADD', clock_key, '-inf', '!inc:' .. incarnation, digits(-floor), '!floor', digits(seq), '!seq')
  if lost > 0 then
    redis.call('ZADD', clock_key, digits(-lost), '!lost')
  end
end

local function note_replaced(kind)
  if not replaced[kind] then
    replaced[kind] = true
    replaced[#replaced + 1] = kind
  end
end

local function replaced_text()
  return table.concat(replaced, ' ')
end

-- The answer to a command that met a key of another type.
local function is_of_another_type(reply)
  return type(reply) == 'table' and reply.err and string.find(reply.err, 'WRONGTYPE', 1, true)
end

local function open_clock()
  local page = redis.pcall('ZRANGE', clock_key, 0, 0)
  if is_of_another_type(page) then
    note_replaced('clock')
    return renew_clock()
  elseif page.err then
    return redis.call('ZRANGE', clock_key, 0, 0)
  end
  local first, scores = page[1], redis.call('ZMSCORE', clock_key, '!seq', '!floor', '!lost')
  if not first or string.sub(first, 1, 5) ~= '!inc:' or not scores[1] or not scores[2] then
    return renew_clock()
  end
  incarnation, seq, floor = string.sub(first, 6), tonumber(scores[1]), -tonumber(scores[2])
  lost = -tonumber(scores[3] or 0)
end
