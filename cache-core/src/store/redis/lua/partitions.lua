-- Shared by the scripts of several partitions. A name is at home in one of them, which other
-- partitions tell that they may have members of it.
--
-- A mark is a member of the index of a name, at its home: `~<number of the other partition>`. No
-- key begins with `~`. Its score is a stamp: when the last member that was registered ends, in ms,
-- and another one after each registration.
--
-- Members of the clock, so that they are lost with it:
--   !known:<home>:<incarnation>  -1, of the home that lists what is here
--   !complete  -2 if the marks are all that there should be

-- The incarnation of a clock that is open.
local function incarnation_here()
  incarnation = incarnation or string.match(redis.call('ZRANGE', clock_key, '0', '0')[1], '^!inc:(%S+)$')
  if not incarnation then
    renew_clock()
  end
  return incarnation
end
