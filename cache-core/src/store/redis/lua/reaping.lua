-- Shared by the scripts that store and by the one that reaps: how dead members leave their indexes.
--
-- A membership goes only if its entry is gone and nothing relevant was made from that entry.
-- Relevant are entries that are there, and members that are alive or have been dead for less than
-- the retention. The server's clock alone does not prove that an entry is gone: it may have been
-- set ahead, and be set back.

local looks = 0
-- Names that have marks whose time has passed.
local marked = {}

-- Whether anything relevant depends on a key, directly or through dead dependents. Looks at 64
-- dependents at most, and beyond that answers yes, so a larger circle of dead entries stays.
local function is_depended_on(key, dead_since)
  local stack, seen, looked = { key }, { [key] = true }, 0
  while #stack > 0 do
    local dependents = guarded('ZRANGE', index_prefix .. 'k' .. table.remove(stack), 0, 64, 'WITHSCORES')
    looked, looks = looked + #dependents / 2, looks - #dependents / 2
    -- The last one has the highest score, unless there are more.
    if looked > 64 or tonumber(dependents[#dependents] or 0) > dead_since then
      return true
    end
    for at = 1, #dependents, 2 do
      local dependent = dependents[at]
      -- A mark stands for what may be in another partition, whether its time has passed or not.
      if string.byte(dependent) == 126 or redis.call('EXISTS', root .. dependent) == 1 then
        return true
      end
      if not seen[dependent] then
        seen[dependent] = true
        stack[#stack + 1] = dependent
      end
    end
  end
  return false
end

-- Asking for an entry whose TTL has ended deletes it, so it cannot come back with the clock. An
-- entry that no longer has the name does not need the membership.
local function may_leave(name, key, dead_since)
  looks = looks - 1
  -- A mark is reaped by who has asked its partition.
  if string.byte(key) == 126 then
    marked[name] = true
    return false
  end
  local value_key = root .. key
  if redis.call('EXISTS', value_key) == 1 and string.find(names_of(value_key), '\n' .. name .. '\n', 1, true) then
    return false
  end
  return not is_depended_on(key, dead_since)
end

-- Members of an index with their scores, dead members first, and whether these are all there are.
-- If fewer than 16 are dead, the first ones; otherwise 16 from anywhere among the dead, because the
-- first ones may have to stay. By rank, because skipping members by score costs a step for each.
local function dead_first(index, dead_since)
  local page = guarded('ZRANGE', index, 0, 15, 'WITHSCORES')
  if #page < 32 or tonumber(page[32]) > dead_since then
    return page, #page < 32
  end
  local rank = now_us % redis.call('ZCARD', index)
  while rank > 0 and tonumber(redis.call('ZRANGE', index, rank, rank, 'WITHSCORES')[2]) > dead_since do
    rank = math.floor(rank / 2)
  end
  rank = math.floor(now_us / 16) % (rank + 1)
  return redis.call('ZRANGE', index, rank, rank + 15, 'WITHSCORES'), false
end

local is_reaping_noted = false

-- Notes the reaping, so that loads from before it can be told once the clock is set back.
local function note_reaping()
  if not is_reaping_noted then
    is_reaping_noted = true
    seq = math.max(seq + 1, now_us)
    redis.call('ZADD', clock_key, seq, '!seq', -seq, '!reaped')
  end
end

-- The indexes of these names are due.
local function reap_due(due, retention_ms)
  local dead_since, empty = now_ms - retention_ms, {}
  for _, name in ipairs(due) do
    if looks <= 0 then
      break
    end
    looks = looks - 1
    local index = index_prefix .. name
    local members, is_all = dead_first(index, dead_since)
    local gone, first_left = {}, nil
    for at = 1, #members, 2 do
      local score = tonumber(members[at + 1])
      if score <= dead_since and may_leave(name, members[at], dead_since) then
        gone[#gone + 1] = members[at]
      else
        first_left = first_left or score
      end
    end
    if #gone > 0 then
      note_reaping()
      redis.call('ZREM', index, unpack(gone))
    end
    if not is_all then
      first_left = tonumber(redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')[2])
    end
    if not first_left then
      empty[#empty + 1] = name
    else
      -- Members that have to stay are looked at again after the retention. Any others that are left
      -- are up to the next fill.
      local due_ms = first_left + retention_ms
      if #gone == 0 then
        due_ms = math.max(due_ms, now_ms + retention_ms)
      end
      guarded('ZADD', due_key, due_ms, name)
    end
  end
  in_slices('ZREM', due_key, empty)
  -- Lost, they are found again after the retention.
  for name in pairs(marked) do
    guarded('ZADD', root .. '~marked', string.format('%d', now_ms), name)
  end
end

-- Reaps what is due, until `looks_max` indexes, members and dependents were looked at, about 1 µs
-- each. Most often nothing is due.
local function reap(retention_ms, looks_max)
  looks = looks_max
  local due = guarded('ZRANGEBYSCORE', due_key, '-inf', string.format('%d', now_ms), 'LIMIT', 0, looks_max)
  if due[1] then
    reap_due(due, retention_ms)
  end
end

-- A script that adds memberships reaps for them. A dead membership costs two looks, its index and
-- itself, so this budget removes two for each one added.
local function reap_for(added, retention_ms)
  reap(retention_ms, 32 + 4 * added)
end
