-- Shared by the scripts that store, close and open: names that operations have closed. Nothing that
-- has such a name is stored.
--
-- A mark is one name of one operation. Marks are in the clock, so that they are lost with it. Their
-- scores lie between 0 and 1, where no fence does, and are exact:
--   !mark:<operation>\n<name>  ms when it ends       !closed:<name>  how many marks it has
--   !reached:<operation>\n<name>  the same, of a name that the operation was not given: what
--     invalidations have met in the index of a name that it has closed. That is not there any more
--     to lead on to what is stored meanwhile. Ends with the mark that it was reached through. If
--     there is no room for it, `*` stands for all that depends on a key
--   !closed  how many marks there are
--
-- The clock is there when these functions are called.
local mark_unit = 2 ^ 44
-- A limit that `config.rs` has as well: closed names beyond which none is added that was reached.
local reached_max = 5000

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

-- Loads that began while these names were closed, 300 at most, are overtaken: they may have read
-- what was there before the change.
local function overtake(names)
  seq = math.max(seq + 1, now_us)
  local score = string.format('%d', seq)
  local fences = { score, '!seq' }
  for _, name in ipairs(names) do
    if name == '*' then
      floor = seq
      redis.call('ZADD', clock_key, -floor, '!floor')
    else
      fences[#fences + 1] = score
      fences[#fences + 1] = name
    end
  end
  redis.call('ZADD', clock_key, unpack(fences))
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
  for at, mark in ipairs(ended) do
    names[at] = string.match(mark, '\n(.*)$')
    is_ended[names[at]] = true
  end
  count_marks(names, -1)
  overtake(names)
  return is_ended
end

-- What an operation has reached through names that it has closed, given the scores of their marks:
-- false of a name that has none. They need not have been closed at once.
local function reached_marks(operation, scores)
  local prefix, reached, is_read = '!reached:' .. operation .. '\n', {}, { [false] = true }
  for _, ends in ipairs(scores) do
    for _, mark in ipairs(is_read[ends] and {} or redis.call('ZRANGEBYSCORE', clock_key, ends, ends)) do
      if string.sub(mark, 1, #prefix) == prefix then
        reached[#reached + 1] = mark
      end
    end
    is_read[ends] = true
  end
  return reached
end

-- The marks that there are, with when they end, by their names and operations, and the names that
-- operations have reached; once it is asked.
local marks_by_name, reached_by

local function find_marks()
  marks_by_name, reached_by = {}, {}
  if not redis.call('ZSCORE', clock_key, '!closed') then
    return
  end
  local found = redis.call('ZRANGEBYSCORE', clock_key, mark_score(1e9), '(1', 'WITHSCORES')
  for at = 1, #found, 2 do
    local kind, operation, name = string.match(found[at], '^!(%a+):([^\n]*)\n(.*)$')
    marks_by_name[name] = marks_by_name[name] or {}
    marks_by_name[name][operation] = found[at + 1]
    if kind == 'reached' then
      reached_by[operation] = reached_by[operation] or {}
      table.insert(reached_by[operation], name)
    end
  end
end

-- Closes names that an operation has reached, 100 at most, as far as there is room.
local function close_reached(operation, names, ends)
  local room, reached, marked = reached_max - marks_total(), {}, {}
  for _, name in ipairs(names) do
    local ends_of = marks_by_name[name] or {}
    if ends_of[operation] then
      -- Of a name that was given, there is no such mark.
      redis.call('ZADD', clock_key, 'XX', 'GT', ends, '!reached:' .. operation .. '\n' .. name)
    else
      local own = #reached < room and name or '*'
      ends_of = marks_by_name[own] or {}
      if not ends_of[operation] then
        reached[#reached + 1] = own
        marked[#marked + 1] = ends
        marked[#marked + 1] = '!reached:' .. operation .. '\n' .. own
      end
      marks_by_name[own], ends_of[operation] = ends_of, ends
    end
  end
  in_slices('ZADD', clock_key, marked)
  count_marks(reached, 1)
end

-- Members of the index of a name, 100 at most, are met by an invalidation. While the name is closed
-- they are closed too, for as long.
local function reach(name, keys)
  if not marks_by_name then
    find_marks()
  end
  local reached = {}
  for at, key in ipairs(marks_by_name[name] and keys or {}) do
    reached[at] = 'k' .. key
  end
  for operation, ends in pairs(marks_by_name[name] or {}) do
    close_reached(operation, reached, ends)
  end
end

-- All that other operations have reached that have closed any of these names, too, is closed for
-- this one: the names do not lead there any more, and it is not known which did.
local function take_over(operation, names, ends)
  local members, is_taken = {}, { [operation] = true }
  for at, name in ipairs(names) do
    members[at] = '!closed:' .. name
  end
  for at, marks in ipairs(redis.call('ZMSCORE', clock_key, unpack(members))) do
    if marks * mark_unit > 1 then
      if not marks_by_name then
        find_marks()
      end
      for other in pairs(marks_by_name[names[at]] or {}) do
        local reached = not is_taken[other] and reached_by[other] or {}
        is_taken[other] = true
        for first = 1, #reached, 100 do
          close_reached(operation, { unpack(reached, first, math.min(first + 99, #reached)) }, ends)
        end
      end
    end
  end
end

-- Closes names for an operation, `names_max` by all operations together; false if there is no room.
local function close_names(operation, names, lasts_ms, names_max)
  end_marks()
  local marks, unmarked = marks_of(operation, names), {}
  local scores = redis.call('ZMSCORE', clock_key, unpack(marks))
  for at, score in ipairs(scores) do
    if not score then
      unmarked[#unmarked + 1] = names[at]
    end
  end
  if marks_total() + #unmarked > names_max then
    return false
  end
  local ends, marked = mark_score(now_ms + lasts_ms), {}
  for _, mark in ipairs(reached_marks(operation, scores)) do
    marks[#marks + 1] = mark
  end
  for at, mark in ipairs(marks) do
    marked[2 * at - 1], marked[2 * at] = ends, mark
  end
  -- Lets the rest through when memory is full, as in `advance_clock`.
  redis.call('ZREM', clock_key, '!')
  in_slices('ZADD', clock_key, marked)
  count_marks(unmarked, 1)
  take_over(operation, names, ends)
  return true
end

-- Takes an operation's own marks away, and no other's, with those of what it has reached. Beyond
-- 300 the latter end by themselves, at once: fills take them away.
local function open_names(operation, names)
  local marks, marked = marks_of(operation, names), {}
  local scores = redis.call('ZMSCORE', clock_key, unpack(marks))
  for at, score in ipairs(scores) do
    if score then
      marked[#marked + 1] = names[at]
    end
  end
  local reached, over, later = {}, {}, {}
  for at, mark in ipairs(reached_marks(operation, scores)) do
    if at <= 300 then
      over[at], reached[at] = mark, string.match(mark, '\n(.*)$')
    else
      later[#later + 1] = mark_score(now_ms)
      later[#later + 1] = mark
    end
  end
  redis.call('ZREM', clock_key, unpack(marks))
  count_marks(marked, -1)
  if #reached > 0 then
    redis.call('ZREM', clock_key, unpack(over))
    count_marks(reached, -1)
    overtake(reached)
    in_slices('ZADD', clock_key, later)
  end
end

-- Why a value with these names is refused, if it is not for the fences that there were: a name is
-- closed by another operation than `but` ('': by any), or its mark has just ended.
local function refusal_of_closed(names, but)
  local is_ended = end_marks()
  for at = 2, #names do
    if string.sub(names[at], 1, 1) == 'k' then
      names[#names + 1] = '*'
      break
    end
  end
  for first = 1, #names, 400 do
    local members = {}
    for at = first, math.min(first + 399, #names) do
      members[#members + 1] = '!closed:' .. names[at]
    end
    for at, score in ipairs(redis.call('ZMSCORE', clock_key, unpack(members))) do
      local name, marks = names[first + at - 1], (score or 0) * mark_unit
      if is_ended[name] then
        return 'fenced'
      elseif marks > 0 and but ~= '' then
        for _, kind in ipairs({ '!mark:', '!reached:' }) do
          marks = marks - (redis.call('ZSCORE', clock_key, kind .. but .. '\n' .. name) and 1 or 0)
        end
      end
      if marks > 0 then
        return 'closed'
      end
    end
  end
  return nil
end
