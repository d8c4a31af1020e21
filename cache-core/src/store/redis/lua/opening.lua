-- ARGV  in the end  the operation that has closed the key and that this write ends, or ''
local opens = table.remove(ARGV)
