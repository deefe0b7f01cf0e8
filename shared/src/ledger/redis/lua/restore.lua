-- Makes rows of tasks that another ledger recorded: for each its numbers, its note, its tail, its message, its error, its
-- result and its past runs (the last four empty where there is none). Answers a byte each: 1 for one that is new.

local RECORD = '<c16BBi8I4I4i8i8i8i8i8c16'

-- A key that it holds until it has ended: it is taken if nobody has it, and known for the day when the task is run again.
local function keep_key(id, row, key)
  row[FLAGS] = KEYED
  keys[id] = key
  new_keys[#new_keys + 1] = id
  new_keys[#new_keys + 1] = key
  local hold = hold_of(key)
  local until_at = hold and unpack_bytes('<i8', hold, 17)
  local is_free = not hold or (until_at ~= 0 and until_at <= NOW)
  if row[STATE] == SCHEDULED and is_free then rehang(key, id .. NO_WINDOW) end
end

local function restore(at)
  local id, state, has_details, seq, attempts, crashes, expires, due, enqueued, started, finished, key =
    unpack_bytes(RECORD, ARGV[at])
  if rows[id] then return 0 end
  local keeps = has_details == 1
  local body = keeps and ARGV[at + 3] or nil
  if due == 0 then due = NOW end
  local row = make(id, ARGV[at + 2], body, state, seq, attempts, crashes, expires, due, ARGV[at + 1])
  row[ENQUEUED], row[STARTED] = enqueued, started
  if key ~= NOBODY then keep_key(id, row, key) end
  if state == SCHEDULED then
    wakes[id] = due
  else
    row[FINISHED] = finished == 0 and NOW or finished
    if state >= DEAD then bad[id] = row[NUMBER] end
    if state ~= DEAD then ended[#ended + 1] = id .. pack('<i8', row[FINISHED]) end
  end
  if keeps and ARGV[at + 4] ~= '' then fail(id, row, ARGV[at + 4]) end
  if keeps and ARGV[at + 5] ~= '' then keep_result(id, ARGV[at + 5]) end
  if keeps and ARGV[at + 6] ~= '' then stories[#stories + 1] = id; stories[#stories + 1] = ARGV[at + 6] end
  return 1
end

local ids = {}
for at = 1, #ARGV, 7 do ids[#ids + 1] = sub(ARGV[at], 1, 16) end
load(ids)
local answers = {}
for at = 1, #ARGV, 7 do answers[#answers + 1] = string.char(restore(at)) end
flush()
return table.concat(answers)
