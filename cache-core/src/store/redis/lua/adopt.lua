-- A partition adopts the incarnations of homes: from here on its fills may rest on what is listed
-- there in these. Its names are listed after this, and no fill that comes between is missed.
--
-- KEYS  1 never
-- ARGV  1 root  2 primary  3 this partition's incarnation, then for each home: its number, its
--       incarnation, and the adopted one, or ''. This partition's and the adopted ones are as they
--       were read before the homes'
-- Reply 1, or 0: something was lost meanwhile. Cost O(homes · log n). Atomic.
open_clock()
if incarnation_here() ~= ARGV[3] then
  return 0
end
local before, adopted = {}, {}
for at = 4, #ARGV, 3 do
  local known = '!known:' .. ARGV[at] .. ':'
  if ARGV[at + 2] ~= '' then
    before[#before + 1] = known .. ARGV[at + 2]
    if not redis.call('ZSCORE', clock_key, before[#before]) then
      return 0
    end
  end
  adopted[#adopted + 1] = -1
  adopted[#adopted + 1] = known .. ARGV[at + 1]
end
if #before > 0 then
  in_slices('ZREM', clock_key, before)
end
in_slices('ZADD', clock_key, adopted)
return 1
