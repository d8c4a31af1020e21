-- What fill_new.lua has not stored.
local clock_was = seq
-- The last step asks for every name, and as the operation that may have closed some of them.
if any_closed and not why and ARGV[10] ~= '' then
  why = refusal_of_closed(every_name(), '')
end
if why then
  drop_staged()
else
  register(key, ARGV, first, ttl_ms, retention_ms)
  reap_for(#ARGV - first + 1, retention_ms)
  if seq > clock_was then
    tidy_fences(clock_was, retention_ms)
  end
  if ARGV[10] == '' then
    return 'stored' .. replaced
  end
  -- A replaced entry leaves the indexes that the new entry is not in. But not while something
  -- depends on the key: that may have been made from the replaced entry, and is reached through
  -- these memberships alone.
  local block = names_of(value_key)
  if block ~= '' and redis.call('EXISTS', index_prefix .. 'k' .. key) == 0 then
    local leave, finish_leaving = leaving()
    leave(key, block, new_names(), 256)
    finish_leaving()
  end
  store_value()
end
local held = redis.pcall('GET', lease_key)
if type(held) == 'string' and string.sub(held, 1, #token) == token then
  redis.call('DEL', lease_key)
end
return (why or 'stored') .. replaced
