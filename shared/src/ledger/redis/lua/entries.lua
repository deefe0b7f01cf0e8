-- Entries of the agenda. Each stands in three arguments: its numbers, its tail and its message.

local ENTRY = '<c16i8I4I4i8Bi8i8'
local RELATIVE = 1

-- Makes a row, scheduled, of the entry at this argument, unless there is one; answers the state of what was there.
local function add(at)
  local id, seq, attempts, crashes, expires, how, due, cover = unpack_bytes(ENTRY, ARGV[at])
  if rows[id] then return rows[id][STATE] end
  if how == RELATIVE then due = NOW + due end
  make(id, ARGV[at + 1], ARGV[at + 2], SCHEDULED, seq, attempts, crashes, expires, due, '')
  wakes[id] = due + cover
end

local function id_at(at)
  return sub(ARGV[at], 1, 16)
end
