-- Makes rows of tasks that another ledger recorded: for each its numbers, its note, its tail, its message, its error and its
-- result (the last three empty where there is none). Answers a byte each: 1 for one that is new.

local RECORD = '<c16BBi8I4I4i8i8i8i8i8'

local function restore(at)
  local id, state, has_details, seq, attempts, crashes, expires, due, enqueued, started, finished =
    unpack_bytes(RECORD, ARGV[at])
  if rows[id] then return 0 end
  local keeps = has_details == 1
  local body = keeps and ARGV[at + 3] or nil
  if due == 0 then due = NOW end
  local row = make(id, ARGV[at + 2], body, state, seq, attempts, crashes, expires, due, ARGV[at + 1])
  row[ENQUEUED], row[STARTED] = enqueued, started
  if state == SCHEDULED then
    wakes[id] = due
  else
    row[FINISHED] = finished == 0 and NOW or finished
    if state >= DEAD then bad[id] = row[NUMBER] end
    if state ~= DEAD then ended[#ended + 1] = id .. pack('<i8', row[FINISHED]) end
  end
  if keeps and ARGV[at + 4] ~= '' then fail(id, row, ARGV[at + 4]) end
  if keeps and ARGV[at + 5] ~= '' then keep_result(id, ARGV[at + 5]) end
  return 1
end

local ids = {}
for at = 1, #ARGV, 6 do ids[#ids + 1] = sub(ARGV[at], 1, 16) end
load(ids)
local answers = {}
for at = 1, #ARGV, 6 do answers[#answers + 1] = string.char(restore(at)) end
flush()
return table.concat(answers)
