-- States by id; nothing where there is no row.

load(ARGV)
local found = {}
for at, id in ipairs(ARGV) do found[at] = rows[id] and rows[id][STATE] or false end
return found
