-- Everything that a primary had when it came back without its last writes was removed: nobody need
-- do that again.
--
-- KEYS  1 clock      ARGV  1 root  2 nonce  3 run id of the server that had lost writes
-- Reply 1, or 0 if this is another server. Cost O(1). Atomic.
open_clock()
local run = '!run:' .. ARGV[3]
if not redis.call('ZSCORE', clock_key, run) then
  return 0
end
redis.call('ZADD', clock_key, digits(-seq), run)
return 1
