-- Puts deliveries back: for each its numbers, tail and message, a note, and the error of one that was parked for too long.
-- Answers nine bytes each: what became of it, and when it is due.

local PARKED_IT, DIED, IGNORED = 0, 1, 2
local PARK = '<c16i8I4I4i8i8i8i8'
local NEVER = -1

local function again(row)
  row[PARKS] = math.min(row[PARKS] + 1, 65535)
  if row[PARKED] == 0 then row[PARKED] = NOW end
end

local function park(at)
  local id, seq, attempts, crashes, expires, delay, most, dead_after = unpack_bytes(PARK, ARGV[at])
  local note, row = ARGV[at + 3], rows[id]
  if not row then
    local due = NOW + math.min(delay, most)
    row = make(id, ARGV[at + 1], ARGV[at + 2], SCHEDULED, seq + 1, attempts, crashes, expires, due, note)
    wakes[id] = due
    again(row)
    return PARKED_IT, due
  end
  if row[STATE] > QUEUED or row[SEQ] > seq then return IGNORED, 0 end
  local parked_for = row[PARKED] == 0 and 0 or NOW - row[PARKED]
  if dead_after ~= NEVER and parked_for >= dead_after then
    finish(id, row, DEAD, note, false)
    fail(id, row, ARGV[at + 4])
    return DIED, 0
  end
  local due = NOW + math.min(delay * 2 ^ math.min(row[PARKS], 62), most)
  -- A higher seq in the message means that the store forgot a move: adopt it.
  row[SEQ] = math.max(row[SEQ], seq)
  move(id, row, due, note, false)
  again(row)
  return PARKED_IT, due
end

local ids = {}
for at = 1, #ARGV, 5 do ids[#ids + 1] = sub(ARGV[at], 1, 16) end
load(ids)
local answers = {}
for at = 1, #ARGV, 5 do answers[#answers + 1] = pack('<Bi8', park(at)) end
flush()
return table.concat(answers)
