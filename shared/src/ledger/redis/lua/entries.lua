-- Entries of the agenda. Each stands in three arguments: its numbers, its tail and its message.

-- How: whether it is due so long from now; whether its unique key stands behind the numbers, with its window (or zero).
local ENTRY = '<c16i8I4I4i8Bi8i8'
local RELATIVE, UNIQUE, REPLACING = 1, 2, 4
local KEY_AT = 16 + 8 + 4 + 4 + 8 + 1 + 8 + 8 + 1
local KEY = '<c16i8'

-- Answers: the state of what was there; or, behind this, the state of the task that holds its key, and that task.
local TAKEN = 16

-- Takes a key for a row that is about to be made; answers who has it and in which state, where that one stays.
local function take(id, key, window, replacing)
  local hold = hold_of(key)
  local until_at = hold and unpack_bytes('<i8', hold, 17)
  if hold and (until_at == 0 or until_at > NOW) then
    local by = sub(hold, 1, 16)
    load({by})
    local holder = rows[by]
    -- One that is forgotten had ended.
    local state = holder and holder[STATE] or SUCCEEDED
    if not (replacing and (state < RUNNING or state == HELD)) then return by, state end
    finish(by, holder, CANCELLED, 'replaced by ' .. in_words(id) .. ', which has the same unique key', false)
  end
  if window == 0 then
    keys[id] = key
    new_keys[#new_keys + 1] = id
    new_keys[#new_keys + 1] = key
  end
  rehang(key, id .. pack('<i8', window == 0 and 0 or NOW + window))
end

-- Makes a row, scheduled, of the entry at this argument, unless there is one or its key is taken; answers which it is, as above.
local function add(at)
  local id, seq, attempts, crashes, expires, how, due, cover = unpack_bytes(ENTRY, ARGV[at])
  if rows[id] then return rows[id][STATE] end
  local keyed = false
  if how >= UNIQUE then
    local key, window = unpack_bytes(KEY, ARGV[at], KEY_AT)
    local by, state = take(id, key, window, how >= UNIQUE + REPLACING)
    if by then return TAKEN + state, by end
    keyed = window == 0
  end
  if how % 2 == RELATIVE then due = NOW + due end
  local row = make(id, ARGV[at + 1], ARGV[at + 2], SCHEDULED, seq, attempts, crashes, expires, due, '')
  if keyed then row[FLAGS] = KEYED end
  wakes[id] = due + cover
end

local function id_at(at)
  return sub(ARGV[at], 1, 16)
end
