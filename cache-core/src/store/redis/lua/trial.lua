-- Whether the server lets a script do what the library's scripts do. Each command is tried on a key
-- that is gone in the end.
--
-- KEYS  1 trial      ARGV  1 root
-- Reply { name, … } of the commands that are refused; '~' for keys that are not declared; '%d' if
--       Lua cannot print integers of 53 bits. What a
-- server refuses for the moment (full memory, a disk that fails) is not told. Cost O(1). Atomic.
local key, undeclared = KEYS[1], ARGV[1] .. '~clock'

local function is_refused(reply)
  local words = type(reply) == 'table' and reply.err
  if not words then
    return false
  end
  -- Redis 7.0; later ones and Valkey; a command that was renamed away; keys that are not declared.
  for _, told in ipairs({ "can't run", "can't access", 'ACL failure', 'NOPERM', 'nknown Redis command',
    'nknown command', 'undeclared', 'non declared' }) do
    if string.find(words, told, 1, true) then
      return true
    end
  end
  return false
end

local tries = {
  { 'SET', key, '1', 'PX', '1000' }, { 'GET', key }, { 'MGET', key }, { 'GETRANGE', key, '0', '0' },
  { 'EXISTS', key }, { 'PTTL', key }, { 'PEXPIRE', key, '1000' }, { 'RENAME', key, key }, { 'DEL', key },
  { 'ZADD', key, '1', '1' }, { 'ZCARD', key }, { 'ZSCORE', key, '1' }, { 'ZMSCORE', key, '1' },
  { 'ZCOUNT', key, '1', '1' }, { 'ZRANGE', key, '0', '0' }, { 'ZRANK', key, '1' }, { 'ZRANGEBYSCORE', key, '1', '1' },
  { 'ZREM', key, '1' }, { 'ZREMRANGEBYRANK', key, '0', '0' }, { 'ZREMRANGEBYSCORE', key, '1', '1' },
  { 'UNLINK', key }, { 'TIME' }, { 'SCAN', '0', 'COUNT', '1' }, { 'ZSCAN', key, '0', 'COUNT', '1' },
}
local refused = {}
for _, command in ipairs(tries) do
  if is_refused(redis.pcall(unpack(command))) then
    refused[#refused + 1] = command[1]
  end
end
-- The library's scripts access indexes that they find in a header, without declaring them in KEYS.
if #refused == 0 and is_refused(redis.pcall('EXISTS', undeclared)) then
  return { '~' }
end
if #refused == 0 and string.format('%d', 2 ^ 53) ~= '9007199254740992' then
  return { '%d' }
end
return refused
