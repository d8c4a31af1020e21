-- A home notes which of its names a partition has listed.
--
-- KEYS  1 never
-- ARGV  1 root  2 primary  3 number of the partition  4 incarnation of this home, as it was adopted
--       5 ms after which the marks may be reaped, if the partition has no members then
--       6 retention_ms  7… names; none: all partitions have listed all that they have
-- Reply 1, or 0: the clock was lost meanwhile. Cost O(names · log n). Atomic.
open_clock()
if incarnation_here() ~= ARGV[4] then
  return 0
end
if #ARGV == 6 then
  redis.call('ZADD', clock_key, -2, '!complete')
else
  note_marks(ARGV[3], ARGV, 7, tonumber(ARGV[5]), tonumber(ARGV[6]))
end
return 1
