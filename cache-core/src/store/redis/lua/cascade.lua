-- Shared by the scripts that invalidate: removal through indexes, and through the dependents of
-- removed entries.
--
-- Work that is left when the budget ends is kept in Redis, so that a client that dies leaves
-- nothing half done: the next invalidation, by any client, goes on with it. All is done when
-- ~pending is empty.
--
-- ~pending  set of the names whose index is to be emptied, and of '!leaving' while there is
-- ~leaving  set of what removed entries have left to leave: key "\n" name "\n" name … "\n"
local pending_key, leaving_key = root .. '~pending', root .. '~leaving'

-- The budget is counted in visits, about 5 µs each. One visit is one member, `bytes_per_visit`
-- bytes of names read, or `names_per_visit` indexes left.
local bytes_per_visit, names_per_visit = 2048, 4
-- Bytes of the names that are left at once: about 300 µs.
local leaving_bytes = 8192

local removed, spent = 0, 0
local stack, seen, drained = {}, {}, {}
local is_leaving = false

-- Puts a name whose index is to be emptied on record. Runs before a membership that led to the name
-- is given up.
local function push(name)
  if not seen[name] and redis.call('EXISTS', index_key(name)) == 1 then
    seen[name] = true
    redis.call('SADD', pending_key, name)
    stack[#stack + 1] = name
  end
end

-- A removed entry leaves the indexes that its header names, except those in `kept`. Nothing is
-- reached through them: the entry's key is fenced, and what depends on it is on record. Many names
-- are left one slice at a time.
local function leave_all(key, block, kept)
  if #block <= leaving_bytes then
    spent = spent + math.floor(leave(key, block, kept) / names_per_visit)
    return
  end
  local first = 1
  while first < #block do
    local last = string.find(block, '\n', math.min(first + leaving_bytes, #block), true)
    redis.call('SADD', leaving_key, key .. string.sub(block, first, last))
    first = last
  end
  is_leaving = true
  redis.call('SADD', pending_key, '!leaving')
end

-- Leaves one such slice; false if there is none. If the key has been stored again since, that entry
-- keeps the memberships it needs. An entry that is being stored, and has only registered so far, is
-- refused.
local function leave_slice()
  local slice = redis.call('SRANDMEMBER', leaving_key)
  if not slice then
    return false
  end
  local key, block = string.match(slice, '^([^\n]*)(.*)$')
  local kept, stored = {}, names_of(root .. key)
  for name in string.gmatch(stored, '[^\n]+') do
    kept[name] = true
  end
  fence('k' .. key)
  spent = spent + 1 + math.floor((#block + #stored) / bytes_per_visit)
    + math.floor(leave(key, block, kept) / names_per_visit)
  redis.call('SREM', leaving_key, slice)
  return true
end

-- Removes the entry of a key, and the lease of the load under way: its fill will be refused, and
-- callers that wait for it learn from the removal that the lease is free. Without budget the key
-- becomes a member of its own index, so that emptying that index removes the entry.
local function remove_entry(key, budget, kept)
  local own, lease_key = 'k' .. key, root .. '~lease:' .. key
  fence(own)
  if spent >= budget then
    redis.call('DEL', lease_key)
    redis.call('ZADD', index_key(own), 0, key)
    return push(own)
  end
  push(own)
  local block, is_there = names_of(root .. key)
  spent = spent + 1 + math.floor(#block / bytes_per_visit)
  removed = removed + (is_there and 1 or 0)
  redis.call('UNLINK', root .. key, lease_key)
  if block ~= '' then
    leave_all(key, block, kept or {})
  end
end

-- Visits one slice of the members of an index. A membership counts even if its entry is gone or now
-- belongs elsewhere: what depends on the member may have been made from what this name invalidates.
-- A membership is given up last: if the script dies before, the member is visited again.
local function drain_slice(name, members, budget)
  local mark, kept = '\n' .. name .. '\n', { [name] = true }
  local own_indexes, met, fallen = {}, {}, {}
  for at, key in ipairs(members) do
    own_indexes[at] = index_key('k' .. key)
  end
  local any_dependents = redis.call('EXISTS', unpack(own_indexes)) > 0
  for at, key in ipairs(members) do
    if spent >= budget then
      break
    end
    met[at] = key
    fence('k' .. key)
    if any_dependents then
      push('k' .. key)
    end
    local block = names_of(root .. key)
    spent = spent + 1 + math.floor(#block / bytes_per_visit)
    if string.find(block, mark, 1, true) or name == 'k' .. key then
      fallen[#fallen + 1] = root .. key
      leave_all(key, block, kept)
    end
  end
  if #fallen > 0 then
    removed = removed + redis.call('UNLINK', unpack(fallen))
  end
  redis.call('ZREM', index_key(name), unpack(met))
end

-- Empties pending indexes, of this invalidation or an earlier one, until the budget is spent.
-- Returns how much is left.
local function drain(budget)
  local found = redis.call('SRANDMEMBER', pending_key, 64)
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
    local members = redis.call('ZRANGE', index_key(name), 0, math.min(budget - spent, 100) - 1)
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
  -- Every chunk fences again what is left: an entry filled meanwhile from something not yet removed
  -- must not stay.
  local left = redis.call('SCARD', pending_key)
  if left > 256 then
    raise_floor(seq)
  elseif left > 0 then
    for _, name in ipairs(redis.call('SMEMBERS', pending_key)) do
      if name ~= '!leaving' then
        fence(name)
      end
    end
  end
  return left
end
