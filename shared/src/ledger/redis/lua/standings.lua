-- Where limits stand: a cursor, and how many to look at. Answers the next cursor, zero at the end, and of each limit its id, its
-- standing as it is kept, how many of its slots are taken, and how many tasks stand in its line.

local scanned = call('HSCAN', P .. 'limits', ARGV[1], 'COUNT', ARGV[2])
local found, fields = {}, scanned[2]
for at = 1, #fields, 2 do
  local id = fields[at]
  local taken, waiting = call('ZCARD', P .. 'slots:' .. id), call('ZCARD', P .. 'line:' .. id)
  found[#found + 1] = pack('<i8i8i8Hc0', NOW, taken, waiting, #id, id) .. fields[at + 1]
end
return {scanned[1], found}
