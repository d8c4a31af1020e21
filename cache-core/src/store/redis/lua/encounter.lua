-- Shared by the scripts that invalidate: what they have met that concerns other partitions.

-- Adds to the reply of a script of a partition: incarnation; 1 if its marks are all that there
-- should be; names that were emptied as far as it goes, and if they are all, those that have marks
-- and those that were given alone; marks that were met { name, mark, stamp, … }; and those of the
-- given names that still have members there, or are closed; and { name, number, … } of the names
-- that have marks: that with which each was fenced before the script, or 0.
local function with_encounter(reply, names, first)
  if not is_partition then
    return reply
  end
  local any_closed_here = redis.call('ZSCORE', clock_key, '!closed')
  local is_complete, kept = redis.call('ZSCORE', clock_key, '!complete'), {}
  if is_complete then
    drained = {}
    for at = 1, #met, 3 do
      drained[#drained + 1] = met[at]
    end
  end
  for at = first, #names do
    drained[#drained + 1] = names[at]
    if redis.call('EXISTS', index_prefix .. names[at]) == 1
      or any_closed_here and redis.call('ZSCORE', clock_key, '!closed:' .. names[at]) then
      kept[#kept + 1] = names[at]
    end
  end
  reply[#reply + 1] = incarnation_here()
  reply[#reply + 1] = is_complete and 1 or 0
  reply[#reply + 1] = drained
  reply[#reply + 1] = met
  reply[#reply + 1] = kept
  local fenced, is_told = {}, {}
  for at = 1, #met, 3 do
    local name = met[at]
    if not is_told[name] then
      is_told[name] = true
      fenced[#fenced + 1] = name
      fenced[#fenced + 1] = string.format('%d', fenced_before[name] or floor)
    end
  end
  reply[#reply + 1] = fenced
  return reply
end
