-- A reading of the clock, before a write.
--
-- KEYS  1 clock      ARGV  1 root  2 nonce
-- Reply { incarnation, seq, now_ms }. Cost O(1). Atomic.
open_clock()
return { incarnation, seq, now_ms }
