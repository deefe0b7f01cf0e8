-- Puts entries on the agenda; answers one byte each: 255 for one that is new, else the state of what was there.

local ids = {}
for at = 1, #ARGV, 3 do ids[#ids + 1] = id_at(at) end
load(ids)
local answers = {}
for at = 1, #ARGV, 3 do answers[#answers + 1] = string.char(add(at) or 255) end
flush()
return table.concat(answers)
