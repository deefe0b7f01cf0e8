-- Puts entries on the agenda; answers one byte each: 255 for one that is new, else what `add` says;
-- and behind one whose key is taken the id of who has it.

local ids = {}
for at = 1, #ARGV, 3 do ids[#ids + 1] = id_at(at) end
load(ids)
local answers = {}
for at = 1, #ARGV, 3 do
  local answer, by = add(at)
  answers[#answers + 1] = string.char(answer or 255) .. (by or '')
end
flush()
return table.concat(answers)
