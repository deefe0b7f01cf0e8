-- Rows running in an owner's name: id, fence and token of each.

local owner = ARGV[1]
local ids = call('SMEMBERS', P .. 'running:' .. owner)
load(ids)
local mine = {}
for _, id in ipairs(ids) do
  local row = rows[id]
  if row and row[STATE] == RUNNING and row[OWNER] == owner then mine[#mine + 1] = id .. pack('<i8c8', row[FENCE], row[TOKEN]) end
end
return mine
