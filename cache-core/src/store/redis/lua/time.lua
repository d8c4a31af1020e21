-- Shared by every script that knows the clock: names of keys, what time it is, and what the script
-- finds out about the clock (see clock.lua).
--
-- ARGV[1] root: what every key of this partition starts with
-- ARGV[2] mark of the primary to which the connection leads: its member of the clock (see
--         clock.lua), or '!seq', which every clock has, if the server does not tell who it is
-- Everything lives under the root, so in a cluster all keys of a script share one hash tag. There
-- KEYS[1] is not the clock, but a key that never exists: see `Layout::declared`.
--
-- What is usual comes first in a script, and without functions: they cost a call more than its
-- commands do. Also dear are numbers as text, either way: a score that is read, a number that is
-- given to a command. So numbers in texts are `%d`, which `trial.lua` tries: `..` leaves a time in
-- µs 14 of its 16 digits, and `%.0f` takes three times as long.
local root, primary = ARGV[1], ARGV[2]
local clock_key, due_key, index_prefix = root .. '~clock', root .. '~due', root .. '~index:'
-- Whether this is a partition of a cluster: see `Layout::declared`.
local is_partition = KEYS[1] ~= clock_key

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = (now_us - now_us % 1000) / 1000

local incarnation, seq, floor
-- The mark of a loss of members (see guard.lua), 0 if there is none; and the kinds of bookkeeping
-- keys that another program had overwritten and that this script has replaced, each once, each
-- after a space.
local lost, replaced = 0, ''

-- Limits that `config.rs` has as well: most fences, and the visits of one chunk (see cascade.lua).
local fences_max, visits_max = 100000, 300
