-- A partition adopts the incarnation of a home: from here on its fills may rest on what is listed
-- there in that one. Its names are listed after this, and no fill that comes between is missed.
--
-- KEYS  1 never
-- ARGV  1 root  2 mark  3 number of the home  4 its incarnation  5 this partition's incarnation and
--       6 the adopted one, or '', as they were read before the home's
-- Reply 1, or 0: something was lost meanwhile. Cost O(log n). Atomic.
open_clock()
local known = '!known:' .. ARGV[3] .. ':'
if incarnation_here() ~= ARGV[5] or ARGV[6] ~= '' and not redis.call('ZSCORE', clock_key, known .. ARGV[6]) then
  return 0
end
redis.call('ZREM', clock_key, known .. ARGV[6])
redis.call('ZADD', clock_key, -1, known .. ARGV[4])
return 1
