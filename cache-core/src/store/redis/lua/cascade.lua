-- Shared by the scripts that invalidate: removal through indexes, and through the dependents of
-- what was removed.
--
-- Work that is left when the budget ends is kept in Redis, so that a client that dies leaves
-- nothing half done: the next invalidation, by anyone, goes on with it. All is done when ~pending
-- is empty.
--
-- ~pending  set of the names whose index is to be emptied, and of '!leaving' while there is
-- ~leaving  set of what removed entries have left to leave: key "\n" name "\n" name … "\n"
local pending_key, leaving_key = root .. '~pending', root .. '~leaving'

-- The budget is in visits, about 5 µs each: of a member, of so many bytes of names that are read,
-- of so many indexes that are left, of so many bytes of a value that are freed (Redis 7.0 takes 1.5
-- ms for 8 MiB).
local read_per_visit, left_per_visit, freed_per_visit = 2048, 3, 32768
-- Names that are left at once, in bytes: about half a millisecond.
local leaving_bytes = 8192

-- Removed entries are counted for a bounded number of prefixes, so that the reply stays small.
local prefixes_max = 32

local spent = 0
-- { entries removed, prefix, how many of them had it, prefix, … }
local removed, place_of = { 0 }, {}
local stack, seen, drained = {}, {}, {}
local is_leaving = false

-- What an entry costs beside the visit.
local function visits_of(block, payload)
  return math.floor(#block / read_per_visit) + math.floor((payload or 0) / freed_per_visit)
end

local function count_removed(key)
  removed[1] = removed[1] + 1
  local prefix = string.match(key, '^[^:]*')
  local place = place_of[prefix]
  if place then
    removed[place] = removed[place] + 1
  elseif #removed < 2 * prefixes_max then
    removed[#removed + 1] = prefix
    removed[#removed + 1] = 1
    place_of[prefix] = #removed
  end
end

-- A name whose index is to be emptied. It is on record before a membership that led to it is given
-- up.
local function push(name)
  if not seen[name] and redis.call('EXISTS', index_key(name)) == 1 then
    seen[name] = true
    guarded('SADD', pending_key, name)
    stack[#stack + 1] = name
  end
end

-- A removed entry leaves the indexes that its header names, but for those in `kept`: nothing is
-- reached through them, for its key is fenced and what depends on it on record. Many names are left
-- a slice at a time.
local function leave_all(key, block, kept)
  if #block <= leaving_bytes then
    spent = spent + leave(key, block, kept) / left_per_visit
    return
  end
  local first = 1
  while first < #block do
    local last = string.find(block, '\n', math.min(first + leaving_bytes, #block), true)
    guarded('SADD', leaving_key, key .. string.sub(block, first, last))
    first = last
  end
  is_leaving = true
  guarded('SADD', pending_key, '!leaving')
end

-- One such slice; false if there is none. The key may have been stored again since: that entry
-- keeps what it needs. One that is being stored, and has registered only, is refused.
local function leave_slice()
  local slice = guarded('SRANDMEMBER', leaving_key)
  if not slice then
    return false
  end
  local key, block = string.match(slice, '^([^\n]*)(.*)$')
  local kept, stored = {}, names_of(root .. key)
  for name in string.gmatch(stored, '[^\n]+') do
    kept[name] = true
  end
  fence('k' .. key)
  spent = spent + 1 + (#block + #stored) / read_per_visit + leave(key, block, kept) / left_per_visit
  finish_leaving()
  guarded('SREM', leaving_key, slice)
  return true
end

-- With the lease of whoever loads the key: that fill will be refused, and who waits for it learns
-- from this that it is free. Without budget the key becomes a member of its own index, so that the
-- entry is removed when that is emptied.
local function remove_entry(key, budget, kept)
  local own, lease_key = 'k' .. key, root .. '~lease:' .. key
  fence(own)
  if spent >= budget then
    redis.call('DEL', lease_key)
    guarded('ZADD', index_key(own), 0, key)
    return push(own)
  end
  push(own)
  local block, payload = names_of(root .. key)
  spent = spent + 1 + visits_of(block, payload)
  if payload then
    count_removed(key)
  end
  redis.call('UNLINK', root .. key, lease_key)
  if block ~= '' then
    leave_all(key, block, kept or {})
  end
end

-- One slice of the members of an index. A membership counts even if its entry is gone or now
-- belongs elsewhere: what depends on the member may have been made from what this name invalidates.
-- It is given up last: if the script dies before, it is met again.
local function drain_slice(name, members, budget)
  local mark, kept = '\n' .. name .. '\n', { [name] = true }
  local own_names, own_indexes, met, fallen = {}, {}, {}, {}
  for at, key in ipairs(members) do
    own_names[at] = 'k' .. key
    own_indexes[at] = index_key(own_names[at])
  end
  local any_dependents = redis.call('EXISTS', unpack(own_indexes)) > 0
  for at, key in ipairs(members) do
    if spent >= budget then
      break
    end
    local own, value_key = own_names[at], root .. key
    met[at] = key
    fence(own)
    if any_dependents then
      push(own)
    end
    local block, payload = names_of(value_key)
    spent = spent + 1 + visits_of(block, payload)
    if name == own or string.find(block, mark, 1, true) then
      fallen[#fallen + 1] = value_key
      if payload then
        count_removed(key)
      end
      leave_all(key, block, kept)
    end
  end
  if #fallen > 0 then
    redis.call('UNLINK', unpack(fallen))
    finish_leaving()
  end
  redis.call('ZREM', index_key(name), unpack(met))
end

-- Empties what is pending, this invalidation's or an earlier one's, until the budget is spent.
-- Returns how much is left.
local function drain(budget)
  finish_leaving()
  local found = guarded('SRANDMEMBER', pending_key, 64)
  for _, name in ipairs(found) do
    if name == '!leaving' then
      is_leaving = true
    elseif not seen[name] then
      seen[name] = true
      stack[#stack + 1] = name
    end
  end
  while #stack > 0 and spent < budget do
    local name = stack[#stack]
    local members = guarded('ZRANGE', index_key(name), 0, math.min(math.ceil(budget - spent), 100) - 1)
    fence(name)
    if #members == 0 then
      stack[#stack] = nil
      drained[#drained + 1] = name
    else
      drain_slice(name, members, budget)
    end
  end
  in_slices('ZREM', due_key, drained)
  if is_leaving and #stack == 0 then
    while is_leaving and spent < budget do
      is_leaving = leave_slice()
    end
    if not is_leaving then
      drained[#drained + 1] = '!leaving'
    end
  end
  in_slices('SREM', pending_key, drained)
  if #found < 64 and #stack == 0 and not is_leaving then
    return 0
  end
  -- What is left is fenced again by every chunk: an entry filled meanwhile from something not yet
  -- removed must not stay.
  local left = guarded('SCARD', pending_key)
  if left > 256 then
    raise_floor(seq)
  elseif left > 0 then
    for _, name in ipairs(guarded('SMEMBERS', pending_key)) do
      if name ~= '!leaving' then
        fence(name)
      end
    end
  end
  return left
end
