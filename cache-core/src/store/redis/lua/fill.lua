-- Stores a loaded value with its memberships, or refuses it.
--
-- KEYS, ARGV  as filling.lua says; 11 is the step: 'store', or 'register' (memberships only: a
--       slice of many names, before the step that stores)
-- Reply { 'stored' or why not: 'incarnation' 'floor' 'old' 'fenced', replaced }: see guard.lua
-- Cost  O(names · log n). Atomic: check, memberships, value and lease together.
open_clock()
local why = refusal_of_value()
if why then
  drop_staged()
  release_lease(lease_key, token)
  return { why, replaced_text() }
end

register(key, names, first, ttl_ms, retention_ms)
reap_for(#names - first + 1, retention_ms)
if step == 'register' then
  return { 'stored', replaced_text() }
end
local old_block = names_of(value_key)
leave_indexes(key, old_block, names)
store_value()
release_lease(lease_key, token)
drop_fences(retention_ms, fences_max)
return { 'stored', replaced_text() }
