-- Shared by the scripts that invalidate: removal through indexes, and through the dependents of
-- what was removed.
--
-- A membership goes only when nothing is left of the index of its own key, here or elsewhere. So a
-- member goes after what depends on it, and what is there still leads to all that is left to do: a
-- client that dies leaves nothing half done, for the next invalidation of the name meets it again.
-- There is no other record of it.
--
-- What the budget leaves of one operation is told: { name, place in its index after which it is to
-- be gone on with, or '', whether the entry of the name stays: 1 or 0, whether the script came to
-- it from another name: 1 or 0, … }. The last name comes first: the others lead to it.
--
-- A place is a member, or a mark, with the score that it had: whoever is registered again before
-- the next script moves to the back, past members that were not visited yet.

-- The budget is in visits, about 3 µs each: of a member, of so many bytes of names that are read,
-- of so many indexes that are left, of so many bytes of a value that are freed (Redis 7.0 takes 1.5
-- ms for 8 MiB), of so many members that are asked for what depends on them.
local read_per_visit, left_per_visit, freed_per_visit, asked_per_visit = 2048, 3, 32768, 8
-- Indexes that one removed entry leaves. Its further memberships are dead, and are reaped.
local left_max = 256
-- Members that are asked for, and entries that are removed, by one command.
local slice_max = 100
-- Removed entries are counted for a bounded number of prefixes, so that the reply stays small.
local prefixes_max = 32

-- The entry under a key that nothing depends on falls, with the lease of whoever loads it (see
-- `remove_entry`).
local function remove_alone(key, kept)
  local block, payload = names_of(root .. key)
  redis.call('UNLINK', root .. key, root .. '~lease:' .. key)
  if block ~= '' then
    local leave, finish_leaving = leaving()
    leave(key, block, kept, left_max)
    finish_leaving()
  end
  return payload and { 1, string.match(key, '^[^:]*'), 1 } or { 0 }
end

local spent, budget, budget_of_circles = 0, visits_max, visits_max
-- { entries removed, prefix, how many of them had it, prefix, … }
local counts, place_of = { 0 }, {}
-- Names to fence: they are written at the end.
local unwritten = {}
-- The names whose indexes are being emptied, each through the one before; those of them whose entry
-- falls when the script has come back to it; whether a member was met that is one of them; whether
-- such members are given up; and the names of whose indexes nothing else is left.
local path, doomed, is_circular, ends_circles, seen = {}, {}, false, false, {}
-- Where the budget has ended: a name, and the place after which to go on.
local deepest
local unvisited, emptied = {}, {}
-- Marks of other partitions that were met: name, mark, score, … (see partitions.lua); and keys that
-- were members, whose own indexes were emptied as far as this partition goes.
local met, drained = {}, {}

-- When names were fenced last before this script: those that it was given, and those of the marks.
local fenced_before = {}

local function note_fences(names)
  for at, fence in ipairs(redis.call('ZMSCORE', clock_key, unpack(names))) do
    fenced_before[names[at]] = fence
  end
end
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

-- The names of what is stored under a key, which is about to be removed, and whether anything is.
local function visit(value_key)
  local block, payload = names_of(value_key)
  spent = spent + 1
  if #block >= read_per_visit or payload and payload >= freed_per_visit then
    spent = spent + math.floor(#block / read_per_visit) + math.floor((payload or 0) / freed_per_visit)
  end
  return block, payload
end

-- The entry under a given key, with the lease of whoever loads it: that fill will be refused, and
-- who waits for it learns from this that it is free. It leaves the indexes that its header names,
-- but for those in `kept`, if nothing is reached through it.
local function remove_entry(key, kept)
  local value_key = root .. key
  local block, payload = visit(value_key)
  if payload then
    count_removed(key)
  end
  redis.call('UNLINK', value_key, root .. '~lease:' .. key)
  if block ~= '' and redis.call('EXISTS', index_prefix .. 'k' .. key) == 0 then
    spent = spent + leave(key, block, kept, left_max) / left_per_visit
  end
end

-- A slice of the members of an index, without the marks among them: keys, their own names, and the
-- indexes of what depends on them; how many marks there were, and the last one.
local function slice_of(name, rank, most)
  local members = guarded('ZRANGE', index_prefix .. name, rank, rank + most - 1)
  local keys, owns, indexes, marks, last_mark = {}, {}, {}, 0, nil
  for _, member in ipairs(members) do
    if string.byte(member) == 126 then
      marks, last_mark = marks + 1, member
      if is_partition then
        met[#met + 1] = name
        met[#met + 1] = member
        met[#met + 1] = redis.call('ZSCORE', index_prefix .. name, member)
      end
    else
      keys[#keys + 1] = member
      owns[#owns + 1] = 'k' .. member
      indexes[#indexes + 1] = index_prefix .. 'k' .. member
    end
  end
  return keys, owns, indexes, marks, last_mark, #members < most
end

-- Where a member is now. One that is gone is no place to go on from.
local function place_of_member(index, member)
  local score = redis.call('ZSCORE', index, member)
  return score and score .. ' ' .. member or ''
end

-- How many members of an index are not behind a place.
local function rank_behind(index, place)
  local score, member = string.match(place, '^(%S+) (.*)$')
  if not score then
    return 0
  end
  if redis.call('ZSCORE', index, member) == score then
    return redis.call('ZRANK', index, member) + 1
  end
  return redis.call('ZCOUNT', index, '-inf', '(' .. score)
end

local drain

-- Empties the indexes of what depends on these members, and says of how many members that is done,
-- which of them something depends on still, and whether nothing did on any of them.
local function drain_dependents(owns, indexes)
  local stays = {}
  local there = #owns == 0 and 0 or redis.call('EXISTS', unpack(indexes))
  if there == 0 then
    return #owns, stays, true
  end
  spent = spent + #owns / asked_per_visit
  for at, own in ipairs(owns) do
    if spent >= budget then
      return at - 1, stays
    end
    if path[own] then
      is_circular, stays[at] = true, not ends_circles
    elseif seen[own] then
      stays[at] = redis.call('EXISTS', indexes[at]) == 1
    elseif there == #owns or redis.call('EXISTS', indexes[at]) == 1 then
      path[own], spent = true, spent + 1
      local after = drain(own, '')
      path[own] = nil
      if after then
        deepest = deepest or { own, after }
        return at - 1, stays
      end
      seen[own], stays[at] = true, redis.call('EXISTS', indexes[at]) == 1
    end
  end
  return #owns, stays
end

-- The entries of these members fall if they have the name: a member counts even if its entry is
-- gone or now belongs elsewhere, for what depends on it may have been made from what the name
-- invalidates. Returns the members to be given up, and the last one that stays.
local function remove_members(name, keys, owns, count, stays)
  local name_alone, kept = '\n' .. name .. '\n', { [name] = true }
  local gone, given_up, last_kept, visited = {}, {}, nil, 0
  for at = 1, count do
    -- One at least: else a script could do nothing but look at what depends on it.
    if spent >= budget and at > 1 then
      break
    end
    visited = at
    local key = keys[at]
    local own, is_on_path = owns[at], path[owns[at]]
    unwritten[#unwritten + 1] = own
    if is_partition then
      drained[#drained + 1] = own
    end
    local value_key = root .. key
    local block, payload = visit(value_key)
    local falls = block == name_alone or string.find(block, name_alone, 1, true)
    if falls and is_on_path and not ends_circles then
      doomed[own] = true
    elseif falls or doomed[own] and not is_on_path then
      doomed[own] = nil
      gone[#gone + 1] = value_key
      if payload then
        count_removed(key)
      end
      if block ~= name_alone and not stays[at] and not is_on_path then
        spent = spent + leave(key, block, kept, left_max) / left_per_visit
      end
    end
    if stays[at] then
      last_kept = key
    else
      given_up[#given_up + 1] = key
    end
  end
  if #gone > 0 then
    redis.call('UNLINK', unpack(gone))
    finish_leaving()
  end
  return given_up, last_kept, visited
end

-- Empties an index from behind a place on, '' for its beginning. Returns nil, or the place behind
-- which the budget has ended.
function drain(name, place)
  local index, last = index_prefix .. name, nil
  local rank = rank_behind(index, place)
  while true do
    local most = math.min(math.ceil(budget - spent), slice_max)
    if most <= 0 then
      local count = redis.call('ZCARD', index)
      if count == 0 then
        emptied[#emptied + 1] = name
      end
      if count > rank then
        return last and place_of_member(index, last) or place
      end
      return nil
    end
    local keys, owns, indexes, marks, last_mark, is_all = slice_of(name, rank, most)
    reach(name, keys)
    local count, stays, are_leaves = drain_dependents(owns, indexes)
    local given_up, last_kept, visited = remove_members(name, keys, owns, count, stays)
    if is_all and #given_up == #keys and rank + marks == 0 then
      emptied[#emptied + 1] = name
      redis.call('UNLINK', index)
    elseif are_leaves and marks == 0 and #given_up == #keys then
      -- Nothing else was removed meanwhile: they are where they were read, and need not be found.
      redis.call('ZREMRANGEBYRANK', index, rank, rank + #keys - 1)
    elseif #given_up > 0 then
      redis.call('ZREM', index, unpack(given_up))
    end
    if visited < #keys then
      last = last_kept or last
      return last and place_of_member(index, last) or place
    end
    rank = rank + marks + #keys - #given_up
    last = last_kept or last_mark or last
    if is_all then
      return nil
    end
  end
end

-- Empties the index of a name. What leads back to where the script has come from is given up by a
-- second run, when nothing else is left of it. That has a budget of its own: else a circle that
-- takes more than half of one would never end. It takes no longer than the first one. A script that
-- goes on within an index has one too: what a circle has left of it may lie before the place where
-- this one goes on. A member that leads to another partition is left, for whoever comes before that
-- one was visited.
local function empty(name, after)
  -- Now: a given key that left this index within `drain` would move members from where they were
  -- read.
  finish_leaving()
  local begun = spent
  path[name] = true
  local left = drain(name, after)
  if not left and (is_circular or after ~= '') and not met[1] then
    ends_circles, budget, budget_of_circles = true, 2 * spent - begun + budget_of_circles, 0
    seen = {}
    left = drain(name, '')
    is_circular, ends_circles = false, false
  end
  path[name] = nil
  return left
end

local function leave_unvisited(name, after, spares_entry, is_reached)
  unvisited[#unvisited + 1] = name
  unvisited[#unvisited + 1] = after
  unvisited[#unvisited + 1] = spares_entry and 1 or 0
  unvisited[#unvisited + 1] = is_reached and 1 or 0
end

-- The budget has ended below a name.
local function leave_below(name, after, spares_entry)
  leave_unvisited(name, after, spares_entry)
  if deepest then
    leave_unvisited(deepest[1], deepest[2], true, true)
  end
end

-- Names that are fenced already are to lead to nothing any more, and the entries of those that are
-- keys fall, but for the memberships in `kept`, unless they are spared. If the budget ends within
-- the index of a key, the entry falls at once: nothing is made from it then that would have its
-- place before the one where the next script goes on.
local function take(names, first, after, spares_entries, kept)
  for from = first, #names, slice_max do
    local last, indexes = math.min(from + slice_max - 1, #names), {}
    for at = from, last do
      indexes[#indexes + 1] = index_prefix .. names[at]
    end
    local there = redis.call('EXISTS', unpack(indexes))
    for at = from, last do
      local name, left = names[at], nil
      if spent >= budget then
        for later = #names, at, -1 do
          leave_unvisited(names[later], later == first and after or '', spares_entries)
        end
        return
      end
      if there > 0 and redis.call('EXISTS', indexes[at - from + 1]) == 1 then
        left = empty(name, at == first and after or '')
      end
      if left then
        for later = #names, at + 1, -1 do
          leave_unvisited(names[later], '', spares_entries)
        end
        leave_below(name, left, true)
      end
      if not spares_entries and string.byte(name) == 107 then
        remove_entry(string.sub(name, 2), kept)
      end
      if left then
        return
      end
    end
  end
end

-- Ends the script's work. Returns what was removed, and what is left.
local function finish()
  finish_leaving()
  in_slices('ZREM', due_key, emptied)
  -- Who settles the marks that were met shows by the fences that this script has met them.
  for at = 1, #met, 3 do
    unwritten[#unwritten + 1] = met[at]
    if fenced_before[met[at]] == nil then
      note_fences({ met[at] })
    end
  end
  -- At the floor a fence says nothing else that the floor does not.
  if floor < seq or met[1] then
    local score, fences = string.format('%d', seq), {}
    for at, name in ipairs(unwritten) do
      fences[2 * at - 1], fences[2 * at] = score, name
    end
    in_slices('ZADD', clock_key, fences)
  end
  return counts, unvisited
end
