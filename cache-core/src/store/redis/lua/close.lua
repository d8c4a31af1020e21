-- Stands before an invalidation: closes the names that are to be invalidated.
--
-- ARGV  as invalidate_key.lua says; in the end  operation, ms for which its marks last, most names
--       that all operations may have closed
-- Reply 'full' if there would be more: nothing is done. Else that of the invalidation
-- Cost  O(names · log n) beside that of the invalidation. Atomic with it. Again by the same
--       operation: its marks last longer.
local names_max, lasts_ms, operation =
  tonumber(table.remove(ARGV)), tonumber(table.remove(ARGV)), table.remove(ARGV)
open_clock()
if not close_names(operation, { unpack(ARGV, 5) }, lasts_ms, names_max) then
  return 'full'
end
