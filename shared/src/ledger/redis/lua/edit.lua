-- Edits tasks that ended badly, or that wait: for each its numbers, a note, and the tail and the message that it has from now on (both empty
-- where they stay). Answers ten bytes each: what became of it, its state, its seq; and behind one whose
-- unique key another task holds the id of that one.

local APPLIED, CHANGED, REFUSED, UNKNOWN, KEY_TAKEN = 0, 1, 2, 3, 4
local EDIT = '<c16i8BBi8Bi8'
-- What becomes of it: it stays as it ended, is due at once, or goes on waiting.
local STAYS, REPLAYS, WAITS = 0, 1, 2

-- Another message, which may be of another queue.
local function replace(id, row, tail, body, expires)
  touch(id)
  count(row[TAIL], row[STATE], -1)
  row[TAIL] = tail
  count(tail, row[STATE], 1)
  row[EXPIRES] = expires
  bodies[#bodies + 1], bodies[#bodies + 2] = id, body
end

local function edit(at)
  local id, seq, replaces, becomes, expires, relative, due = unpack_bytes(EDIT, ARGV[at])
  local row = rows[id]
  if not row then return UNKNOWN, 0, 0 end
  if row[SEQ] ~= seq then return CHANGED, row[STATE], row[SEQ] end
  local fits = row[STATE] >= DEAD
  if becomes == WAITS then fits = row[STATE] == SCHEDULED or row[STATE] == QUEUED end
  if not fits or call('HEXISTS', P .. 'body', id) == 0 then return REFUSED, row[STATE], seq end
  local by = becomes == REPLAYS and take_again(id, row)
  if by then return KEY_TAKEN, row[STATE], seq, by end
  if replaces == 1 then replace(id, row, ARGV[at + 2], ARGV[at + 3], expires) end
  if becomes == WAITS then
    move(id, row, relative == 1 and NOW + due or due, ARGV[at + 1], false)
  elseif becomes == REPLAYS then
    -- Asked for by hand, it runs, or it would expire again at once.
    row[ATTEMPTS], row[CRASHES], row[EXPIRES] = 0, 0, 0
    move(id, row, NOW, ARGV[at + 1], false)
  else
    touch(id)
    row[SEQ] = seq + 1
    row[NOTE] = ARGV[at + 1]
  end
  return APPLIED, row[STATE], row[SEQ]
end

local ids = {}
for at = 1, #ARGV, 4 do ids[#ids + 1] = sub(ARGV[at], 1, 16) end
load(ids)
local answers = {}
for at = 1, #ARGV, 4 do
  local answer, state, seq, by = edit(at)
  answers[#answers + 1] = pack('<BBi8', answer, state, seq) .. (by or '')
end
flush()
return table.concat(answers)
