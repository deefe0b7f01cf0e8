-- What became of a schedule's instants, the newest first.

local records = {}
for _, entry in ipairs(call('XREVRANGE', P .. 'occurrences:' .. ARGV[1], '+', '-', 'COUNT', ARGV[2])) do
  records[#records + 1] = entry[2][2]
end
return records
