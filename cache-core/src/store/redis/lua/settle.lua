-- Takes marks away on which nothing hangs any more.
--
-- KEYS  1 never
-- ARGV  1 root  2 primary  then for each one: name, number of the other partition, stamp that was
--       met, incarnation and seq that the visit or the look told that met it
-- Reply how many were taken away. Cost O(marks · log n). Atomic.
--
-- Whoever fenced a name last takes its marks away, and nobody else. The stamp alone would not do: a
-- mark that is made anew may have by chance the stamp of one that is gone.
open_clock()
local settled = 0
for at = 3, #ARGV, 5 do
  local name, mark, stamp = ARGV[at], '~' .. ARGV[at + 1], tonumber(ARGV[at + 2])
  local index = index_prefix .. name
  local shown = redis.call('ZMSCORE', clock_key, '!inc:' .. ARGV[at + 3], name)
  if shown[1] and tonumber(shown[2] or 0) == tonumber(ARGV[at + 4])
    and tonumber(guarded('ZSCORE', index, mark) or 0) == stamp then
    settled = settled + redis.call('ZREM', index, mark)
    if redis.call('EXISTS', index) == 0 then
      guarded('ZREM', due_key, name)
    end
  end
end
return settled
