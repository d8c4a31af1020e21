-- Shared by the scripts that store: what they are given, named once; and whether the value may be
-- stored.
--
-- KEYS  1 clock  2 value  3 lease  4 learned, if the fill teaches something of the key
-- ARGV  1 root  2 primary  3 key  4 token  5 incarnation  6 seq  7 read_at_ms  8 retention_ms
--       9 ttl_ms  10 how many of the names are registered already; in fill.lua '' for a step that
--       registers and does not store  11 value, '' if it is staged
--       with KEYS[4]: 12 what the fill teaches  13 ms for which that is kept
--       then the names; of a partition then `!known:<home>:<incarnation>` for each foreign home in
--       which the load has registered its names, and how many of these there are
local value_key, lease_key = KEYS[2], KEYS[3]
local key, token, value = ARGV[3], ARGV[4], ARGV[11]
local reading_seq, retention_ms, ttl_ms = tonumber(ARGV[6]), tonumber(ARGV[8]), tonumber(ARGV[9])
local homes
if is_partition then
  homes = {}
  for at = 1, tonumber(table.remove(ARGV)) do
    homes[at] = table.remove(ARGV)
  end
end
-- Positions in ARGV of the first name, and of the first that is to be registered.
local names_at = KEYS[4] and 14 or 12
local first = names_at + (tonumber(ARGV[10]) or 0)

-- Why a value loaded (or written) after the reading is refused; nil if it is not.
local why
local shown = redis.pcall('ZMSCORE', clock_key, '!inc:' .. ARGV[5], '!seq', '!closed', primary)
local any_closed = shown[3]
seq = shown[1] and shown[4] and tonumber(shown[2])
if not seq then
  why = 'incarnation'
elseif seq ~= reading_seq then
  -- The clock has moved, so something was invalidated since. One more look tells, or of many names
  -- one for 400 of them.
  shown = redis.call('ZMSCORE', clock_key, '!floor', '!lost', 'k' .. key,
    unpack(ARGV, names_at, math.min(#ARGV, names_at + 399)))
  floor, lost = shown[1] and -shown[1], -(shown[2] or 0)
  if not floor then
    why = 'incarnation'
  elseif reading_seq < floor then
    why = 'floor'
  elseif now_us < seq and reading_seq < -(redis.call('ZSCORE', clock_key, '!reaped') or 0) then
    -- The server's clock was ahead at the last reaping, and was set back. So ages tell nothing
    -- about loads that began before that reaping.
    why = 'old'
  end
  local at, later = 3, names_at + 400
  while shown do
    for place = at, #shown do
      if shown[place] and tonumber(shown[place]) > reading_seq then
        why = why or 'fenced'
      end
    end
    shown = later <= #ARGV and redis.call('ZMSCORE', clock_key, unpack(ARGV, later, math.min(#ARGV, later + 399)))
    at, later = 1, later + 400
  end
end
-- What is stored must be found by way of the homes of its names: they list what is here only in the
-- incarnations that this partition has adopted.
if homes and homes[1] and not why then
  for _, known in ipairs(redis.call('ZMSCORE', clock_key, unpack(homes))) do
    why = not known and 'home' or why
  end
end
-- Dead members leave their indexes after the retention. A load older than that may depend on a
-- member that is no longer reached.
if why ~= 'incarnation' and why ~= 'floor' and now_ms - ARGV[7] > retention_ms then
  why = 'old'
end

-- Whether all is as usual so far: nothing is closed, and the value is here. What is found out later
-- makes it false, and the script's last part does everything then.
local is_usual = not why and not any_closed and value ~= ''
