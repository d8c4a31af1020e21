-- Stands before an invalidation: opens the names that are to be invalidated, as far as the
-- operation has closed them.
--
-- ARGV  as invalidate_key.lua says; in the end  operation
-- Reply that of the invalidation
-- Cost  O(names · log n) beside that of the invalidation. Atomic with it.
local operation = table.remove(ARGV)
open_clock()
open_names(operation, { unpack(ARGV, 5) })
