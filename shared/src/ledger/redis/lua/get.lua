-- Records by id; nothing where there is no row.

load(ARGV)
local found = {}
for at, id in ipairs(ARGV) do found[at] = rows[id] and record(id, rows[id]) or false end
return found
