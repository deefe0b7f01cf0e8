-- Claims: the owner, how old a message of an unknown task may be, what is written on one that is older; then for each
-- request its numbers, its tail and its message. Answers the time and one string of answers, or nothing to an owner that
-- may not claim.

local ACQUIRED, DONE, BUSY, STALE, ENDED = 0, 1, 2, 3, 4
local owner, oldest, stale_error = ARGV[1], NOW - tonumber(ARGV[2]), ARGV[3]
if call('HEXISTS', P .. 'members', owner) == 0 then return false end

local newest, priorities = {}, {}

-- A task that was marked at this time has been claimed: what was marked long before it was overtaken.
local function claimed(row)
  local marked = row[ENQUEUED]
  if marked == 0 then marked = NOW end
  local field = string.format('%d', byte(row[TAIL])) .. ' ' .. queue_of(row[TAIL])
  if not newest[field] then
    priorities[#priorities + 1] = field
    newest[field] = marked
  elseif marked > newest[field] then
    newest[field] = marked
  end
end

local GRANTED = '<Bi8i8I4I4i8B'
local function granted(row)
  return pack(GRANTED, ACQUIRED, row[FENCE], row[SEQ], row[ATTEMPTS], row[CRASHES], row[DUE], has(row, CANCEL) and 1 or 0)
end

local function take(id, row, token, seq, asked)
  row[FENCE] = math.max(row[FENCE] + 1, NOW)
  row[TOKEN] = token
  row[FLAGS] = CLAIMED + (has(row, KEYED) and KEYED or 0) + (has(row, LIMITED) and LIMITED or 0)
  row[OWNER] = owner
  row[STARTED] = NOW
  claimed(row)
  enter(id, row, RUNNING)
  if seq > row[SEQ] then row[SEQ] = seq end
  if row[ENQUEUED] == 0 then row[ENQUEUED] = NOW end
  row[LOOKS], row[PARKS], row[PARKED], row[NOTE] = 0, 0, 0, ''
  wakes[id] = false
  return admitted(id, asked, granted(row))
end

local function of_row(id, row, token, seq, asked)
  local state = row[STATE]
  if state >= SUCCEEDED then return pack('BB', DONE, state) end
  if state == RUNNING then
    -- The answer to this very claim was lost on its way.
    if row[OWNER] == owner and has(row, CLAIMED) and row[TOKEN] == token then return granted(row) end
    return pack('B', BUSY)
  end
  if state == HELD or row[SEQ] > seq then return pack('B', STALE) end
  if row[EXPIRES] ~= 0 and row[EXPIRES] <= NOW then
    expire(id, row)
    return pack('BB', ENDED, EXPIRED)
  end
  return take(id, row, token, seq, asked)
end

local function of_nothing(id, at, token, seq, attempts, crashes, expires, first)
  -- A message this old may be of a task that ended and whose id was forgotten.
  local is_stale = first ~= 0 and first < oldest
  local is_over = expires ~= 0 and expires <= NOW
  local tail, body = ARGV[at + 1], ARGV[at + 2]
  if not is_stale and not is_over then
    make_running(id, tail, body, seq, attempts, crashes, expires, first, token, owner)
    -- This claim made it: it was never due.
    return admitted(id, ARGV[at], pack(GRANTED, ACQUIRED, NOW, seq, attempts, crashes, 0, 0))
  end
  local row = make(id, tail, body, SCHEDULED, seq, attempts, crashes, expires, NOW, '')
  if is_stale then
    finish(id, row, DEAD, 'stale', false)
    fail(id, row, stale_error)
    return pack('BB', ENDED, DEAD)
  end
  expire(id, row)
  return pack('BB', ENDED, EXPIRED)
end

local ids = {}
for at = 4, #ARGV, 3 do ids[#ids + 1] = sub(ARGV[at], 1, 16) end
load(ids)

local met, answers = {}, {}
for at = 4, #ARGV, 3 do
  local id, token, seq, attempts, crashes, expires, first = unpack_bytes('<c16c8i8I4I4i8i8', ARGV[at])
  local answer
  if met[id] then
    answer = pack('B', BUSY)
  else
    local row = rows[id]
    answer = row and of_row(id, row, token, seq, ARGV[at]) or of_nothing(id, at, token, seq, attempts, crashes, expires, first)
    -- A stale message may come in one batch with the one that was promoted after it, which must not be lost. When the same
    -- batch is asked again, that one runs, and the older message is busy.
    local code = byte(answer)
    if code ~= STALE and code ~= BUSY then met[id] = true end
  end
  answers[#answers + 1] = answer
end

flush()
local known = fetch(P .. 'progress', priorities)
for i, field in ipairs(priorities) do
  if not known[i] or tonumber(known[i]) < newest[field] then call('HSET', P .. 'progress', field, newest[field]) end
end
return {NOW, table.concat(answers)}
