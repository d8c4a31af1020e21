-- Names that may have members in a partition, dead or alive: a page of them.
--
-- KEYS  1 never
-- ARGV  1 root  2 primary  3 cursor  4 names per page
-- Reply { next cursor ('0': the end), name, … }: who is there from the first page to the last is on
--       one of them
-- Cost  O(names per page). Atomic: one page.
local page = guarded('ZSCAN', due_key, ARGV[3], 'COUNT', ARGV[4])
local reply = { page[1] }
for at = 1, #page[2], 2 do
  reply[#reply + 1] = page[2][at]
end
return reply
