-- Stores a schedule: its id, the revision that it replaces (-1 for none), its source and definition. Answers it, or nothing
-- on a conflict.

local id, expected, rest = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local incarnation, revision = find(id)
if (incarnation and revision or -1) ~= expected then return false end
if incarnation then
  store(id, incarnation, revision + 1, rest)
else
  call('HSET', P .. 'cursors', id, pack('<i8', NOW))
  store(id, raise('incarnation'), 1, rest)
end
raise('catalog_version')
return shown(id)
