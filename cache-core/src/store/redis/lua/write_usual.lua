-- All of write_alone.lua was as usual.
if is_usual then
  redis.call('UNLINK', value_key, lease_key)
  redis.call('SET', value_key, value, 'PX', ARGV[9])
  if KEYS[4] then
    redis.call('SET', KEYS[4], ARGV[12], 'PX', ARGV[13])
  end
  return { 'stored', replaces, {}, seq, 0, '' }
end
