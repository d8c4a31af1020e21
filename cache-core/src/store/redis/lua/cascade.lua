-- Shared by the scripts that invalidate: removal through indexes, and through the dependents of
-- what was removed.
--
-- Work that is left when the budget ends is kept in Redis, so that a client that dies leaves
-- nothing half done: the next invalidation, by anyone, goes on with it. All is done when ~pending
-- is empty.
--
-- ~pending  set of the names whose index is to be emptied, and of '!leaving' while there is
-- ~leaving  set of what removed entries have left to leave: key "\n" name "\n" name … "\n"
local leaving_key = root .. '~leaving'

-- The budget is in visits, about 3 µs each: of a member, of so many bytes of names that are read,
-- of so many indexes that are left, of so many bytes of a value that are freed (Redis 7.0 takes 1.5
-- ms for 8 MiB).
local read_per_visit, left_per_visit, freed_per_visit = 2048, 3, 32768
-- Names that are left at once, in bytes: about half a millisecond.
local leaving_bytes = 8192
-- Members that are asked for, and entries that are removed, by one command.
local slice_max = 100
-- Removed entries are counted for a bounded number of prefixes, so that the reply stays small.
local prefixes_max = 32

-- The entry under a key that nothing depends on falls, with the lease of whoever loads it (see
-- `remove_entry`). Nil if it has so many names that they are not left at once: nothing is done.
local function remove_alone(key, kept)
  local block, payload = names_of(root .. key)
  if #block > leaving_bytes then
    return nil
  end
  redis.call('UNLINK', root .. key, root .. '~lease:' .. key)
  if block ~= '' then
    local leave, finish_leaving = leaving()
    leave(key, block, kept)
    finish_leaving()
  end
  return payload and { 1, string.match(key, '^[^:]*'), 1 } or { 0 }
end

local spent = 0
-- { entries removed, prefix, how many of them had it, prefix, … }
local counts, place_of = { 0 }, {}
local fenced, unwritten = {}, {}
local stack, seen, drained = {}, {}, {}
local is_leaving = false
local leave, finish_leaving = leaving()

-- The prefix of the last one, with its colon: many in a row have it.
local last_prefix, last_place = '\n', nil

local function count_removed(key)
  counts[1] = counts[1] + 1
  if string.sub(key, 1, #last_prefix) == last_prefix then
    counts[last_place] = counts[last_place] + 1
    return
  end
  local prefix = string.match(key, '^[^:]*')
  local place = place_of[prefix]
  if place then
    counts[place] = counts[place] + 1
    last_prefix, last_place = prefix .. ':', place
  elseif #counts < 2 * prefixes_max then
    counts[#counts + 1] = prefix
    counts[#counts + 1] = 1
    place_of[prefix] = #counts
  end
end

-- Names to fence, each once: they are written at the end.
local function fence(name)
  if not fenced[name] then
    fenced[name] = true
    unwritten[#unwritten + 1] = name
  end
end

-- Names whose index is to be emptied, if it is there. They are on record before a membership that
-- led to them is given up.
local function push_all(names, indexes)
  local there = names[1] and redis.call('EXISTS', unpack(indexes)) or 0
  if there == 0 then
    return
  end
  local found = {}
  for at, name in ipairs(names) do
    if not seen[name] and (there == #names or redis.call('EXISTS', indexes[at]) == 1) then
      seen[name] = true
      found[#found + 1] = name
      stack[#stack + 1] = name
    end
  end
  in_slices('SADD', pending_key, found)
end

-- The names of what is stored under a key, which is about to be removed, and whether anything is.
local function visit(key)
  local block, payload = names_of(root .. key)
  spent = spent + 1
  if #block >= read_per_visit or payload and payload >= freed_per_visit then
    spent = spent + math.floor(#block / read_per_visit) + math.floor((payload or 0) / freed_per_visit)
  end
  return block, payload
end

-- A removed entry leaves the indexes that its header names, but for those in `kept`: nothing is
-- reached through them, for its key is fenced and what depends on it on record. Many names are
-- left a slice at a time.
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

-- The entry under a given key, with the lease of whoever loads it: that fill will be refused, and
-- who waits for it learns from this that it is free. Without budget the key becomes a member of
-- its own index, so that the entry is removed when that is emptied.
local function remove_entry(key, kept)
  local own, lease_key = 'k' .. key, root .. '~lease:' .. key
  if spent >= visits_max then
    redis.call('DEL', lease_key)
    guarded('ZADD', index_prefix .. own, 0, key)
    return push_all({ own }, { index_prefix .. own })
  end
  local block, payload = visit(key)
  if payload then
    count_removed(key)
  end
  redis.call('UNLINK', root .. key, lease_key)
  if block ~= '' then
    leave_all(key, block, kept)
  end
end

-- Names that are fenced already are to lead to nothing any more, and the entries of those that
-- are keys fall, but for the memberships in `kept`.
local function take(names, first, kept)
  for from = first, #names, slice_max do
    local given, indexes = {}, {}
    for at = from, math.min(from + slice_max - 1, #names) do
      given[#given + 1] = names[at]
      indexes[#indexes + 1] = index_prefix .. names[at]
      fenced[names[at]] = true
    end
    push_all(given, indexes)
    for _, name in ipairs(given) do
      if string.sub(name, 1, 1) == 'k' then
        remove_entry(string.sub(name, 2), kept)
      end
    end
  end
end

-- Takes members of the names on the stack, `most` in all: { name, its members, is_all }, …
local function take_members(most)
  local taken = {}
  while #stack > 0 and most > 0 do
    local name = stack[#stack]
    local members = guarded('ZRANGE', index_prefix .. name, '0', most - 1)
    local is_all = #members < most
    fence(name)
    if is_all then
      stack[#stack] = nil
    end
    if #members == 0 then
      drained[#drained + 1] = name
    else
      taken[#taken + 1] = { name, members, is_all }
      most = most - #members
    end
  end
  return taken
end

-- One slice of members. A membership counts even if its entry is gone or now belongs elsewhere:
-- what depends on the member may have been made from what its name invalidates. It is given up
-- last: if the script dies before, it is met again.
local function drain_slice()
  local taken = take_members(math.min(math.ceil(visits_max - spent), slice_max))
  local owns, indexes, gone, is_gone, emptied = {}, {}, {}, {}, {}
  for _, of_name in ipairs(taken) do
    for _, key in ipairs(of_name[2]) do
      local own = 'k' .. key
      owns[#owns + 1] = own
      indexes[#indexes + 1] = index_prefix .. own
    end
  end
  if #owns == 0 then
    return
  end
  push_all(owns, indexes)
  local visited = 0
  for _, of_name in ipairs(taken) do
    local name, members = of_name[1], of_name[2]
    local mark, kept, met = '\n' .. name .. '\n', { [name] = true }, 0
    reach(name, members)
    for at = 1, #members do
      if spent >= visits_max then
        break
      end
      met, visited = at, visited + 1
      local key = members[at]
      unwritten[#unwritten + 1] = owns[visited]
      local block, payload = visit(key)
      local falls = block == mark or name == owns[visited] or string.find(block, mark, 1, true)
      if falls and not is_gone[key] then
        is_gone[key] = true
        gone[#gone + 1] = root .. key
        if payload then
          count_removed(key)
        end
        if block ~= mark then
          leave_all(key, block, kept)
        end
      end
    end
    of_name[4] = met
  end
  if #gone > 0 then
    redis.call('UNLINK', unpack(gone))
    finish_leaving()
  end
  for _, of_name in ipairs(taken) do
    local name, members, is_all, met = unpack(of_name)
    if is_all and met == #members then
      drained[#drained + 1] = name
      emptied[#emptied + 1] = index_prefix .. name
    elseif met > 0 then
      redis.call('ZREM', index_prefix .. name, unpack(members, 1, met))
    end
    if is_all and met < #members then
      stack[#stack + 1] = name
    end
  end
  if #emptied > 0 then
    redis.call('UNLINK', unpack(emptied))
  end
end

local function write_fences()
  -- At the floor a fence says nothing that the floor does not.
  if floor < seq then
    local score, fences = string.format('%d', seq), {}
    for at, name in ipairs(unwritten) do
      fences[2 * at - 1], fences[2 * at] = score, name
    end
    in_slices('ZADD', clock_key, fences)
  end
end

-- Empties what is pending, this invalidation's or an earlier one's, until the budget is spent.
-- Returns what was removed, and how much is left.
local function drain()
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
  while #stack > 0 and spent < visits_max do
    drain_slice()
  end
  in_slices('ZREM', due_key, drained)
  if is_leaving and #stack == 0 then
    while is_leaving and spent < visits_max do
      is_leaving = leave_slice()
    end
    if not is_leaving then
      drained[#drained + 1] = '!leaving'
    end
  end
  in_slices('SREM', pending_key, drained)
  local left = 0
  if #found == 64 or #stack > 0 or is_leaving then
    left = guarded('SCARD', pending_key)
  end
  -- What is left is fenced again by every chunk: an entry filled meanwhile from something not yet
  -- removed must not stay.
  if left > 256 then
    raise_floor(seq)
  elseif left > 0 then
    for _, name in ipairs(guarded('SMEMBERS', pending_key)) do
      if name ~= '!leaving' then
        fence(name)
      end
    end
  end
  write_fences()
  return counts, left
end
