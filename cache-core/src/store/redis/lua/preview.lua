-- What an invalidation would remove, one look at a time: see `Look`. Writes nothing, and may be run
-- by EVAL_RO.
--
-- KEYS  1 clock
-- ARGV  1 root  2 primary  3 what is looked at, then
--       'losses'    whether members were lost, and no more
--       'given'     4… names
--       'members'   4 place of the first member  5… names
--       'values' or 'indexes'   4 physical glob  5 cursor  6 keys per page
-- Reply { { key that falls, place of its name, … }, { name that has members, … },
--         place of the name to go on with, or -1, place of its member, or the cursor,
--         1 if members were lost }
-- Cost  O(names + visits): weighed as in cascade.lua. SCAN, never KEYS. Atomic: one look.
local falling, leads, lost_members = {}, {}, 0
local next_place, next_from = -1, '0'

-- A key of another type has lost its members: an invalidation finds that out, and clears.
local function read(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'WRONGTYPE', 1, true) then
      return redis.call(command, key, ...)
    end
    lost_members = 1
    return nil
  end
  return reply
end

local function fall(key, place)
  falling[#falling + 1] = key
  falling[#falling + 1] = place
end

-- Another program's value under a key falls too.
local function fall_if_there(key, place)
  if redis.pcall('GETRANGE', root .. key, '0', '0') ~= '' then
    fall(key, place)
  end
end

local function lead(name)
  if redis.call('EXISTS', index_prefix .. name) == 1 then
    leads[#leads + 1] = name
  end
end

local function look_at_losses()
  local shown = redis.pcall('ZMSCORE', clock_key, '!lost')
  if shown[1] then
    lost_members = 1
  end
end

local function look_at_given()
  for at = 4, #ARGV do
    local name = ARGV[at]
    if string.sub(name, 1, 1) == 'k' then
      fall_if_there(string.sub(name, 2), at - 4)
    end
    lead(name)
  end
end

local function look_at_members()
  local spent, from = 0, tonumber(ARGV[4])
  for at = 5, #ARGV do
    local name = ARGV[at]
    local mark, most = '\n' .. name .. '\n', math.ceil(visits_max - spent)
    if most <= 0 then
      next_place, next_from = at - 5, string.format('%d', from)
      return
    end
    local members = read('ZRANGE', index_prefix .. name, from, from + most - 1) or {}
    spent = spent + 1
    for met, key in ipairs(members) do
      if spent >= visits_max then
        next_place, next_from = at - 5, string.format('%d', from + met - 1)
        return
      end
      spent = spent + 1
      -- A mark is no key.
      if string.byte(key) ~= 126 then
        local block, payload = names_of(root .. key)
        spent = spent + #block / 2048
        if payload and (name == 'k' .. key or string.find(block, mark, 1, true)) then
          fall(key, at - 5)
        end
        lead('k' .. key)
      end
    end
    from = 0
  end
end

local function look_at_page()
  local page = redis.call('SCAN', ARGV[5], 'MATCH', ARGV[4], 'COUNT', ARGV[6])
  for _, found in ipairs(page[2]) do
    if ARGV[3] == 'values' then
      local key = string.sub(found, #root + 1)
      if string.sub(key, 1, 1) ~= '~' then
        fall_if_there(key, 0)
        lead('k' .. key)
      end
    elseif string.find(found, '^[kt]', #index_prefix + 1) then
      leads[#leads + 1] = string.sub(found, #index_prefix + 1)
    end
  end
  next_place, next_from = page[1] == '0' and -1 or 0, page[1]
end

if ARGV[3] == 'losses' then
  look_at_losses()
elseif ARGV[3] == 'given' then
  look_at_given()
elseif ARGV[3] == 'members' then
  look_at_members()
else
  look_at_page()
end
return { falling, leads, next_place, next_from, lost_members }
