-- Shared by the scripts that store: what is not as usual.

-- The clock has not moved since the reading, or cannot be read.
if not floor then
  open_clock()
end

-- The names of the new entry, as a set.
local function new_names()
  local names = {}
  for at = names_at, #ARGV do
    names[ARGV[at]] = true
  end
  return names
end

-- The names of the new entry with its key, in order.
local function every_name()
  local names = { 'k' .. key }
  for at = names_at, #ARGV do
    names[#names + 1] = ARGV[at]
  end
  return names
end

-- Runs last: an entry never lives without its memberships. A large value is not copied through Lua:
-- it lies under a key of its own. What the fill teaches is kept beside the entry and for longer: a
-- value that is not stored teaches nothing.
local function store_value()
  if value ~= '' then
    redis.call('SET', value_key, value, 'PX', ARGV[9])
  else
    redis.call('RENAME', root .. '~staging:' .. token, value_key)
    redis.call('PEXPIRE', value_key, ARGV[9])
  end
  if KEYS[4] then
    redis.call('SET', KEYS[4], ARGV[12], 'PX', ARGV[13])
  end
end

local function drop_staged()
  if value == '' then
    redis.call('DEL', root .. '~staging:' .. token)
  end
end
