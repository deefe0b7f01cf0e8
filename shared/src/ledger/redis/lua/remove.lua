-- Removes a schedule of this revision, and cancels its occurrences that are not yet queued; answers whether it did.

local id, expected = ARGV[1], tonumber(ARGV[2])
local incarnation, revision = find(id)
if not incarnation or revision ~= expected then return 0 end
local ids = call('SMEMBERS', P .. 'planned:' .. id)
load(ids)
for _, task in ipairs(ids) do
  local row = rows[task]
  if row and row[STATE] == SCHEDULED then finish(task, row, CANCELLED, 'its schedule was deleted', false) end
end
call('HDEL', P .. 'schedules', id)
call('HDEL', P .. 'cursors', id)
raise('catalog_version')
flush()
return 1
