-- A load registers at a foreign home of its names, before it stores what has them.
--
-- KEYS  1 never
-- ARGV  1 root  2 primary  3 number of the partition of its key  4 incarnation and  5 seq of what
--       the process knew of this clock before the load began  6 ttl_ms  7 retention_ms
--       8 the operation that a write ends, whose own marks do not count, or ''  9… names
-- Reply { 'registered' or why not: 'incarnation', 'floor', 'fenced', 'closed'; incarnation, seq,
--         replaced }
-- Cost  O(names · log n). Atomic.
--
-- Refused as a fill is refused: from here on an invalidation of these names finds the mark, and
-- what one has fenced before may be older than it.
open_clock()
local why, reading_seq = nil, tonumber(ARGV[5])
if incarnation_here() ~= ARGV[4] then
  why = 'incarnation'
elseif reading_seq < floor then
  why = 'floor'
end
for first = 9, #ARGV, 400 do
  for _, fence in ipairs(redis.call('ZMSCORE', clock_key, unpack(ARGV, first, math.min(#ARGV, first + 399)))) do
    if fence and tonumber(fence) > reading_seq then
      why = why or 'fenced'
    end
  end
end
if not why and redis.call('ZSCORE', clock_key, '!closed') then
  why = refusal_of_closed({ '', unpack(ARGV, 9) }, ARGV[8])
end
if not why then
  note_marks(ARGV[3], ARGV, 9, tonumber(ARGV[6]), tonumber(ARGV[7]))
end
return { why or 'registered', incarnation_here(), seq, replaced }
