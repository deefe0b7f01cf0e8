-- Marks entries as queued: how long one may wait for its claim, and how long at most, then each entry as id and seq. Answers
-- one byte each: 1 if it was still scheduled or queued with this seq.

local patience, longest = tonumber(ARGV[1]), tonumber(ARGV[2])

local ids = {}
for at = 3, #ARGV do ids[#ids + 1] = sub(ARGV[at], 1, 16) end
load(ids)
local answers = {}
for at = 3, #ARGV do
  local id, seq = unpack_bytes('<c16i8', ARGV[at])
  local row = rows[id]
  local marked = row and row[SEQ] == seq and row[STATE] <= QUEUED
  if marked and row[STATE] == SCHEDULED then
    enter(id, row, QUEUED)
    row[ENQUEUED], row[LOOKS], row[NOTE] = NOW, 0, ''
    wakes[id] = NOW + patience
  elseif marked then
    touch(id)
    row[LOOKS] = math.min(row[LOOKS] + 1, 65535)
    wakes[id] = NOW + math.min(patience * 2 ^ math.min(row[LOOKS], 20), longest)
  end
  answers[#answers + 1] = marked and '\1' or '\0'
end
flush()
return table.concat(answers)
