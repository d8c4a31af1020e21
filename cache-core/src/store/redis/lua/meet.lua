-- A process meets a primary that it did not talk to last.
--
-- KEYS  1 clock
-- ARGV  1 root  2 nonce  3 reign of the primary, '' if it does not tell its run id
--       4 the highest sequence number that this process has seen, 0 if none
--       5 for a primary that does not tell it: 'keep' from a process that has met no other, else
--       'renew'
-- Reply 'whole', or 'lost': the server's data is older than what this process has seen
-- Cost  O(marks of closed names): an old clock is freed in the background. Atomic.
--
-- The server may lag behind the one that it replaces, or may have come back from an old file. So
-- its clock gets a new incarnation, and a floor at its own time: no reading from before counts.
--
-- Whoever meets the server first notes with which sequence number it began: whoever comes later
-- finds the clock moved on. The note is part of the clock, so it also says that this primary has
-- written the clock anew, and nobody need do that again: it would refuse the loads of all processes
-- once for each. What comes later writes it anew only if it has seen more than the server has: the
-- server stood beside another primary, and the loads that began here know nothing of that one.
local reign, seen = '!reign:' .. ARGV[3], tonumber(ARGV[4])
open_clock()
local began, renews = seq, ARGV[3] ~= '' or ARGV[5] == 'renew'
local noted = redis.call('ZSCORE', clock_key, reign)
if noted then
  began, renews = -tonumber(noted), false
end
if renews or began < seen then
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
  if ARGV[3] ~= '' then
    redis.call('ZADD', clock_key, -began, reign)
  end
end
return began < seen and 'lost' or 'whole'
