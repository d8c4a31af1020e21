-- Shared by the scripts that invalidate: removal through indexes, and through the dependents of what was removed.
--
-- Work that is left when the budget ends is kept in Redis (`~pending`), so that a client that dies leaves nothing half done:
-- the next invalidation, by anyone, goes on with it.
local removed, visits = 0, 0
local stack, seen, drained = {}, {}, {}

-- A name whose index is to be emptied. It is on record before a membership that led to it is given up.
local function push(name)
  if not seen[name] and redis.call('EXISTS', index_key(name)) == 1 then
    seen[name] = true
    redis.call('SADD', pending_key, name)
    stack[#stack + 1] = name
  end
end

-- With the lease of whoever loads the key: that fill will be refused, and who waits for it learns from this that it is free.
local function remove_entry(key)
  removed = removed + redis.call('UNLINK', root .. key)
  redis.call('DEL', root .. '~lease:' .. key)
  fence('k' .. key)
  push('k' .. key)
end

-- One slice of the members of an index. A membership counts even if its entry is gone or now belongs elsewhere: what depends
-- on the member may have been made from what this name invalidates. It is given up last: if the script dies before, it is met again.
local function drain_slice(name, members)
  local mark = '\n' .. name .. '\n'
  for _, key in ipairs(members) do
    if string.find(names_of(root .. key), mark, 1, true) then
      removed = removed + redis.call('UNLINK', root .. key)
    end
    fence('k' .. key)
    push('k' .. key)
  end
  redis.call('ZREM', index_key(name), unpack(members))
end

-- Empties what is pending, this invalidation's or an earlier one's, until `budget` members were visited.
-- Returns the number of names that are left.
local function drain(budget)
  for _, name in ipairs(redis.call('SRANDMEMBER', pending_key, 64)) do
    if not seen[name] then
      seen[name] = true
      stack[#stack + 1] = name
    end
  end
  while #stack > 0 and visits < budget do
    local name = stack[#stack]
    local members = redis.call('ZRANGE', index_key(name), 0, math.min(budget - visits, 100) - 1)
    fence(name)
    if #members == 0 then
      stack[#stack] = nil
      drained[#drained + 1] = name
    else
      visits = visits + #members
      drain_slice(name, members)
    end
  end
  in_slices('SREM', pending_key, drained)
  in_slices('ZREM', due_key, drained)
  -- What is left is fenced again by every chunk: an entry filled meanwhile from something not yet removed must not stay.
  local left = redis.call('SCARD', pending_key)
  if left > 256 then
    raise_floor(seq)
  elseif left > 0 then
    for _, name in ipairs(redis.call('SMEMBERS', pending_key)) do
      fence(name)
    end
  end
  return left
end
