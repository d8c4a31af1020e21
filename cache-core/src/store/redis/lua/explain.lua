-- What is known of one key. Writes nothing, and may be run by EVAL_RO.
--
-- KEYS  1 clock  2 value  3 lease  4 learned
-- ARGV  1 root  2 primary  3 key  4 most names  5 most dependents
--       6 most bytes of what was learned  7 most partitions of which there may be marks
-- Reply { now_ms, header, or what is there, or '', PTTL of the value, incarnation or '', floor,
--         { name, fence, marks, … } the key's own first, names of the entry,
--         dependents, { key, 1 if stored, … }, lease or '', PTTL of the lease, learned or '' }
--       A fence is nil where none is known.
-- Cost  O(names of the entry + log n). Atomic.
local key, names_most, dependents_most = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local own = 'k' .. key

-- '?' for a value of another type: something is there.
local head = redis.pcall('GETRANGE', KEYS[2], '0', '55')
if type(head) ~= 'string' then
  head = '?'
end

-- '' for what is of another type.
local function text(command, ...)
  local reply = redis.pcall(command, ...)
  return type(reply) == 'string' and reply or ''
end

-- Marks that have ended count until a script takes them away: they close nothing any more.
local function ended_marks()
  local ended = redis.pcall('ZRANGEBYSCORE', clock_key, mark_score(1e9), mark_score(now_ms), 'LIMIT', 0, 300)
  local counts = {}
  for _, mark in ipairs(ended) do
    local name = string.match(mark, '\n(.*)$')
    counts[name] = (counts[name] or 0) + 1
  end
  return counts
end

local function facts_of(names)
  local asked, facts, ended = {}, {}, ended_marks()
  for at, name in ipairs(names) do
    asked[2 * at - 1], asked[2 * at] = name, '!closed:' .. name
  end
  local shown = redis.pcall('ZMSCORE', clock_key, unpack(asked))
  for at, name in ipairs(names) do
    local marks = math.max((shown[2 * at] or 0) * mark_unit - (ended[name] or 0), 0)
    facts[#facts + 1] = name
    facts[#facts + 1] = shown[2 * at - 1] or false
    facts[#facts + 1] = string.format('%d', marks)
  end
  return facts
end

local block, count, names = names_of(KEYS[2]), 0, { own }
for name in string.gmatch(block, '[^\n]+') do
  count = count + 1
  if count <= names_most then
    names[#names + 1] = name
  end
end

local dependents = {}
local members = redis.pcall('ZRANGE', index_prefix .. own, '0', dependents_most - 1)
for _, member in ipairs(members) do
  if string.byte(member) ~= 126 then
    dependents[#dependents + 1] = member
    dependents[#dependents + 1] = redis.call('EXISTS', root .. member)
  end
end
local total = redis.pcall('ZCARD', index_prefix .. own)
-- Marks say that there are dependents elsewhere: the other partitions count those.
local marks = {}
for partition = 0, tonumber(ARGV[7]) - 1 do
  marks[#marks + 1] = '~' .. string.format('%d', partition)
end
if marks[1] and type(total) == 'number' then
  for _, score in ipairs(redis.pcall('ZMSCORE', index_prefix .. own, unpack(marks))) do
    total = total - (score and 1 or 0)
  end
end

local first = redis.pcall('ZRANGE', clock_key, '0', '0')[1]
local clock = redis.pcall('ZMSCORE', clock_key, '!floor')[1]
return {
  now_ms, head, redis.call('PTTL', KEYS[2]),
  first and string.match(first, '^!inc:(%S+)$') or '', string.format('%d', -(clock or 0)),
  facts_of(names), count,
  type(total) == 'number' and total or 0, dependents,
  text('GET', KEYS[3]), redis.call('PTTL', KEYS[3]), text('GETRANGE', KEYS[4], '0', ARGV[6] - 1),
}
