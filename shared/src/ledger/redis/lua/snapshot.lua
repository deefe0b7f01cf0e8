-- The catalog's version, and if asked for, every schedule.

local shown_all = {}
if ARGV[1] == '1' then
  local schedules, cursors = call('HGETALL', P .. 'schedules'), {}
  local list = call('HGETALL', P .. 'cursors')
  for at = 1, #list, 2 do cursors[list[at]] = list[at + 1] end
  for at = 1, #schedules, 2 do
    local id = schedules[at]
    shown_all[#shown_all + 1] = {id, cursors[id] or pack('<i8', NOW), schedules[at + 1]}
  end
end
return {number('catalog_version'), shown_all}
