-- Shared by the scripts that store, close and open: names that operations have closed. Nothing that
-- has such a name is stored.
--
-- A mark is one name of one operation. Marks are in the clock, so that they are lost with it. Their
-- scores lie between 0 and 1, where no fence does, and are exact:
--   !mark:<operation>\n<name>  ms when it ends       !closed:<name>  how many marks it has
--   !closed  how many marks there are
--
-- The clock is there when these functions are called.
local mark_unit = 2 ^ 44

local function mark_score(number)
  return string.format('%.17g', number / mark_unit)
end

local function marks_of(operation, names)
  local marks = {}
  for at, name in ipairs(names) do
    marks[at] = '!mark:' .. operation .. '\n' .. name
  end
  return marks
end

-- How many marks there are.
local function marks_total()
  return (redis.call('ZSCORE', clock_key, '!closed') or 0) * mark_unit
end

-- Counts marks that names have got (`by` is 1) or lost (-1), 300 at most.
local function count_marks(names, by)
  if #names == 0 then
    return
  end
  local change_of, members = { ['!closed'] = by * #names }, { '!closed' }
  for _, name in ipairs(names) do
    local member = '!closed:' .. name
    if not change_of[member] then
      members[#members + 1] = member
    end
    change_of[member] = (change_of[member] or 0) + by
  end
  local changed, gone = {}, { '!' }
  for at, score in ipairs(redis.call('ZMSCORE', clock_key, unpack(members))) do
    local marks = (score or 0) * mark_unit + change_of[members[at]]
    if marks > 0 then
      changed[#changed + 1] = mark_score(marks)
      changed[#changed + 1] = members[at]
    else
      gone[#gone + 1] = members[at]
    end
  end
  redis.call('ZREM', clock_key, unpack(gone))
  if #changed > 0 then
    redis.call('ZADD', clock_key, unpack(changed))
  end
end

-- Marks that have ended without their operation, 300 at most, fence their names: a load that began
-- before may have read what was there before the change. Nothing with these names was stored
-- meanwhile, so there is nothing to remove. Returns them, as a set.
local function end_marks()
  local ended = redis.call('ZRANGEBYSCORE', clock_key, mark_score(1e9), mark_score(now_ms), 'LIMIT', 0, 300)
  local names, is_ended = {}, {}
  if #ended == 0 then
    return is_ended
  end
  redis.call('ZREM', clock_key, unpack(ended))
  seq = math.max(seq + 1, now_us)
  local score = string.format('%d', seq)
  local fences = { score, '!seq' }
  for at, mark in ipairs(ended) do
    names[at] = string.match(mark, '\n(.*)$')
    is_ended[names[at]] = true
    fences[#fences + 1] = score
    fences[#fences + 1] = names[at]
  end
  count_marks(names, -1)
  redis.call('ZADD', clock_key, unpack(fences))
  return is_ended
end

-- Closes names for an operation, `names_max` by all operations together; false if there is no room.
local function close_names(operation, names, lasts_ms, names_max)
  end_marks()
  local marks, unmarked = marks_of(operation, names), {}
  for at, score in ipairs(redis.call('ZMSCORE', clock_key, unpack(marks))) do
    if not score then
      unmarked[#unmarked + 1] = names[at]
    end
  end
  if marks_total() + #unmarked > names_max then
    return false
  end
  local ends, marked = mark_score(now_ms + lasts_ms), {}
  for at, mark in ipairs(marks) do
    marked[2 * at - 1], marked[2 * at] = ends, mark
  end
  -- Lets the rest through when memory is full, as in `advance_clock`.
  redis.call('ZREM', clock_key, '!')
  redis.call('ZADD', clock_key, unpack(marked))
  count_marks(unmarked, 1)
  return true
end

-- Takes an operation's own marks away, and no other's.
local function open_names(operation, names)
  local marks, marked = marks_of(operation, names), {}
  for at, score in ipairs(redis.call('ZMSCORE', clock_key, unpack(marks))) do
    if score then
      marked[#marked + 1] = names[at]
    end
  end
  redis.call('ZREM', clock_key, unpack(marks))
  count_marks(marked, -1)
end

-- Why a value with these names is refused, if it is not for the fences that there were: a name is
-- closed by another operation than `but` ('': by any), or its mark has just ended.
local function refusal_of_closed(names, but)
  local is_ended = end_marks()
  for first = 1, #names, 400 do
    local members = {}
    for at = first, math.min(first + 399, #names) do
      members[#members + 1] = '!closed:' .. names[at]
    end
    for at, score in ipairs(redis.call('ZMSCORE', clock_key, unpack(members))) do
      local name, marks = names[first + at - 1], (score or 0) * mark_unit
      if is_ended[name] then
        return 'fenced'
      elseif marks > 0 and but ~= '' and redis.call('ZSCORE', clock_key, marks_of(but, { name })[1]) then
        marks = marks - 1
      end
      if marks > 0 then
        return 'closed'
      end
    end
  end
  return nil
end
