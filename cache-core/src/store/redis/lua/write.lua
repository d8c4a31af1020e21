-- What write_usual.lua has not stored.
clock_was = clock_was or seq
if advance_clock({ own }, 1) then
  why = why or 'memory'
end
if any_closed then
  why = why or refusal_of_closed(every_name(), opens)
  if opens ~= '' then
    open_names(opens, { own })
  end
end
-- A value that is stored keeps the memberships that the old one had.
local kept = why and {} or new_names()
local removed, left = nil, {}
if redis.call('EXISTS', index_prefix .. own) == 0 then
  removed = remove_alone(key, kept)
else
  local after = empty(own, '')
  if after then
    leave_below(own, after, true)
  end
  remove_entry(key, kept)
  removed, left = finish()
end

if why then
  drop_staged()
else
  register(key, ARGV, first, ttl_ms, retention_ms)
  store_value()
end
reap_for(#ARGV - names_at + 1, retention_ms)
tidy_fences(clock_was, retention_ms)
return with_encounter({ why or 'stored', removed, left, seq, lost, replaced }, { own }, 1)
