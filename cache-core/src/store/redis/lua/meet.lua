-- A process meets a primary that it did not talk to last.
--
-- KEYS  1 clock
-- ARGV  1 root  2 nonce  3 reign of the primary, '' if it does not tell its run id
--       4 the highest sequence number that this process has seen, 0 if none
--       5 'renew', or 'keep' for the first primary of a process
-- Reply 'whole', or 'lost': the server's data is older than what this process has seen
-- Cost  O(marks of closed names): an old clock is freed in the background. Atomic.
--
-- The server may lag behind the one that it replaces, or may have come back from an old file. So
-- its clock gets a new incarnation, and a floor at its own time: no reading from before counts.
--
-- Whoever meets the server first notes with which sequence number it began: whoever comes later
-- finds the clock moved on.
local reign, seen = '!reign:' .. ARGV[3], tonumber(ARGV[4])
open_clock()
local began, others = seq, {}
local marks = redis.call('ZRANGEBYSCORE', clock_key, '-inf', 0, 'WITHSCORES')
for at = 1, #marks, 2 do
  if marks[at] == reign then
    began = -tonumber(marks[at + 1])
  elseif string.sub(marks[at], 1, 7) == '!reign:' then
    others[#others + 1] = marks[at]
  end
end
if ARGV[5] == 'renew' then
  -- What is closed stays closed: the operations go on.
  local closings = redis.call('ZRANGEBYSCORE', clock_key, '(0', '(1', 'WITHSCORES')
  seq = math.max(seq, seen)
  renew_clock()
  for first = 1, #closings, 400 do
    local slice = {}
    for at = first, math.min(first + 399, #closings), 2 do
      slice[#slice + 1], slice[#slice + 2] = closings[at + 1], closings[at]
    end
    redis.call('ZADD', clock_key, unpack(slice))
  end
else
  -- Lets the rest through when memory is full, as in `advance_clock`.
  redis.call('ZREM', clock_key, '!', unpack(others))
end
if ARGV[3] ~= '' then
  redis.call('ZADD', clock_key, -began, reign)
end
return began < seen and 'lost' or 'whole'
