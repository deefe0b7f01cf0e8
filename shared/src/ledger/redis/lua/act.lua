-- Acts on tasks: what to do, a note, the tail of a task of which nothing is known, then the ids. Answers two bytes each:
-- what became of it, and its state; and behind one whose unique key another task holds the id of that one.

local APPLIED, REQUESTED, REFUSED, UNKNOWN, KEY_TAKEN = 0, 1, 2, 3, 4
local action, note, nothing = ARGV[1], ARGV[2], ARGV[3]
local forgotten = {}

local act = {}

-- A task that was published without a row may still be on its way: its claim will find this.
local function bury(id)
  local row = make(id, nothing, nil, SCHEDULED, 0, 0, 0, 0, NOW, '')
  finish(id, row, CANCELLED, note .. '; nothing else was known of it', false)
  return APPLIED, CANCELLED
end

function act.cancel(id, row)
  if not row then return bury(id) end
  local state = row[STATE]
  if state == RUNNING then
    touch(id)
    if not has(row, CANCEL) then row[FLAGS] = row[FLAGS] + CANCEL end
    call('SADD', P .. 'cancels', id)
    return REQUESTED, state
  end
  if state > HELD then return REFUSED, state end
  finish(id, row, CANCELLED, note, false)
  return APPLIED, CANCELLED
end

function act.retry(id, row)
  if not row then return UNKNOWN, 0 end
  local state = row[STATE]
  local again = state >= DEAD and call('HEXISTS', P .. 'body', id) == 1
  if not again and state ~= SCHEDULED then return REFUSED, state end
  if again then
    local by = take_again(id, row)
    if by then return KEY_TAKEN, state, by end
  end
  -- Asked for by hand, it runs, or it would expire again at once.
  if again then row[ATTEMPTS], row[CRASHES], row[EXPIRES] = 0, 0, 0 end
  move(id, row, NOW, 'retried by hand', false)
  return APPLIED, SCHEDULED
end

-- A dropped task's id stays known, as that of a cancelled one.
function act.drop(id, row)
  if not row then return UNKNOWN, 0 end
  if row[STATE] ~= DEAD then return REFUSED, row[STATE] end
  enter(id, row, CANCELLED)
  row[NOTE] = 'dropped'
  forgotten[#forgotten + 1] = id
  ended[#ended + 1] = id .. pack('<i8', row[FINISHED])
  return APPLIED, CANCELLED
end

local ids = {}
for at = 4, #ARGV do ids[#ids + 1] = ARGV[at] end
load(ids)
local answers = {}
for at = 4, #ARGV do
  local answer, state, by = act[action](ARGV[at], rows[ARGV[at]])
  answers[#answers + 1] = pack('BB', answer, state) .. (by or '')
end
flush()
for _, part in ipairs({'body', 'error', 'result', 'keys'}) do many('HDEL', P .. part, forgotten) end
return table.concat(answers)
