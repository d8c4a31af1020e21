-- Shared by the scripts that touch more bookkeeping than the clock: what another program has put
-- under one of these keys must not make them fail for ever.
--
-- A command that finds a key of another type has it replaced, and is tried again: what is as it
-- should be costs nothing more. A lost index means members that cannot be reached any more. That is
-- marked in the clock, and every invalidation is told until the namespace
-- was cleared.

-- Goes on after a command that was tried with pcall has failed.
local function mend(failed, command, key, ...)
  if string.find(failed.err, 'WRONGTYPE', 1, true) then
    local kind = string.match(key, '^~(%a+)', #root + 1)
    if not string.find(replaced, kind, 1, true) then
      replaced = replaced .. ' ' .. kind
    end
    redis.call('UNLINK', key)
    if kind == 'index' then
      if not seq then
        open_clock()
      end
      -- A mark of its own for each loss: a clear that began before does not make up for it.
      seq = math.max(seq + 1, now_us)
      lost = seq
      redis.call('ZADD', clock_key, seq, '!seq', -lost, '!lost')
    end
  end
  return redis.call(command, key, ...)
end

local function guarded(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    return mend(reply, command, key, ...)
  end
  return reply
end

-- Calls `command key …values`, a few hundred values at a time: unpack fails at about 8,000.
local function in_slices(command, key, values)
  for first = 1, #values, 400 do
    guarded(command, key, unpack(values, first, math.min(first + 399, #values)))
  end
end
