-- What every script begins with: rows are read, changed in memory, and written together at the end, one command a kind of
-- change. A script that fails after its first write is not undone, so everything is decided before anything is written.
--
-- `P` begins every key, `NOW` is the store's time in microseconds since 1970; both stand in front of this file.

local call, sub, byte = redis.call, string.sub, string.byte
local pack, unpack_bytes = struct.pack, struct.unpack

-- States, as every ledger numbers them.
local SCHEDULED, QUEUED, RUNNING, HELD, SUCCEEDED, DEAD, CANCELLED, EXPIRED = 0, 1, 2, 3, 4, 5, 6, 7

-- The parts of a row in memory. What comes first is packed as `HEAD` says, then the note, then the tail: priority, queue,
-- name, schedule and tags, which never change. Zero is a time that is not known.
local STATE, FLAGS, ATTEMPTS, CRASHES, SEQ, FENCE, TOKEN, OWNER, DUE, RECORDED, ENQUEUED, STARTED, FINISHED, EXPIRES,
  PARKED, LOOKS, PARKS, NUMBER, NOTE, TAIL = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20
local HEAD = '<BBI4I4i8i8c8c16i8i8i8i8i8i8i8HHi8Hc0'

-- Flags: somebody asked to stop it; the claim's token counts; it holds a unique key until it has ended; it has, or waits
-- for, something of a limit.
local CANCEL, CLAIMED, KEYED, LIMITED = 1, 2, 4, 8
local NOBODY, NO_TOKEN = string.rep('\0', 16), string.rep('\0', 8)

-- A row that ended and whose details were purged is shorter: its state above this, and what a repeat has to find.
local FORGOTTEN = 128
local SHORT = '<Bi8I4I4i8i8i8'

-- Arguments of one command: Lua's `unpack` fails at about 8,000.
local MOST = 1000

-- So many rows lie in one string of the log, in the order in which they were recorded.
local SEGMENT = 256

-- A command with any number of arguments, so many at a time that pairs stay together.
local function many(command, key, list)
  for from = 1, #list, MOST do
    call(command, key, unpack(list, from, math.min(from + MOST - 1, #list)))
  end
end

-- The fields of a hash, in the order of `fields`; false where there is none.
local function fetch(key, fields)
  if #fields <= MOST then
    if #fields == 0 then return {} end
    return call('HMGET', key, unpack(fields))
  end
  local all = {}
  for from = 1, #fields, MOST do
    for _, value in ipairs(call('HMGET', key, unpack(fields, from, math.min(from + MOST - 1, #fields)))) do
      all[#all + 1] = value
    end
  end
  return all
end

local function has(row, flag)
  return math.floor(row[FLAGS] / flag) % 2 == 1
end

local function read(text)
  if byte(text) >= FORGOTTEN then
    local state, seq, attempts, crashes, recorded, finished, number, at = unpack_bytes(SHORT, text)
    return {state - FORGOTTEN, 0, attempts, crashes, seq, 0, NO_TOKEN, NOBODY, 0, recorded, 0, 0, finished, 0, 0, 0, 0, number,
      '', sub(text, at)}
  end
  local row = {unpack_bytes(HEAD, text)}
  row[TAIL] = sub(text, row[TAIL])
  return row
end

local function write(row)
  return pack(HEAD, row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11], row[12],
    row[13], row[14], row[15], row[16], row[17], row[18], #row[NOTE], row[NOTE]) .. row[TAIL]
end

-- Tails are few: the same queue, name and tags again and again.
local queues = {}
local function queue_of(tail)
  local queue = queues[tail]
  if not queue then
    queue = unpack_bytes('<Hc0', tail, 2)
    queues[tail] = queue
  end
  return queue
end

local function schedule_of(tail)
  local _, _, schedule = unpack_bytes('<Hc0Hc0Hc0', tail, 2)
  return schedule
end

-- What is known: rows as they are kept, and those that somebody looked into, which are read when that happens.
local texts = {}
local rows = setmetatable({}, {__index = function(known, id)
  local text = texts[id]
  if text then
    known[id] = read(text)
    return known[id]
  end
end})

-- What was changed.
local dirty, dirty_ids, wakes = {}, {}, {}
local made, bodies, errors, results, ended = {}, {}, {}, {}, {}
local counts, joined, left, bad, planned = {}, {}, {}, {}, {}

-- Unique keys that were looked at: who holds each (16 bytes of id, then until when its window lasts, or zero), or false; by
-- task the key that it holds until it has ended; and the keys that changed hands.
local holds, keys, rehung, new_keys = {}, {}, {}, {}

-- Reads rows that are not known yet.
local function load(ids)
  local found = fetch(P .. 'task', ids)
  for i = 1, #ids do
    local id = ids[i]
    if found[i] and not texts[id] then texts[id] = found[i] end
  end
end

local function touch(id)
  if not dirty[id] then
    dirty[id] = true
    dirty_ids[#dirty_ids + 1] = id
  end
end

local function count(tail, state, by)
  local states = counts[tail]
  if not states then
    states = {}
    counts[tail] = states
  end
  states[state] = (states[state] or 0) + by
end

local function add_to(sets, name, id)
  local list = sets[name]
  if list then list[#list + 1] = id else sets[name] = {id} end
end

-- Occurrences that are not yet queued are cancelled with their schedule.
local function plan(id, row, is_scheduled)
  local schedule = schedule_of(row[TAIL])
  if schedule ~= '' then
    planned[#planned + 1] = {is_scheduled and 'SADD' or 'SREM', P .. 'planned:' .. schedule, id}
  end
end

-- Brings a row into a state, and keeps what is counted or listed by state.
local function enter(id, row, state)
  local old = row[STATE]
  touch(id)
  if old == state then return end
  row[STATE] = state
  count(row[TAIL], old, -1)
  count(row[TAIL], state, 1)
  if old == SCHEDULED then plan(id, row, false) end
  if state == SCHEDULED then plan(id, row, true) end
  if old == RUNNING then add_to(left, row[OWNER], id) end
  if state == RUNNING then add_to(joined, row[OWNER], id) end
  if state >= DEAD and old < DEAD then bad[id] = row[NUMBER] end
  if old >= DEAD and state < DEAD then bad[id] = false end
end

-- Forgets the claim's token, so that its settle is stale.
local function drop_token(row)
  row[TOKEN] = NO_TOKEN
  if has(row, CLAIMED) then row[FLAGS] = row[FLAGS] - CLAIMED end
end

local PACKED_NOW = pack('<i8', NOW)

-- Registers a new row, and gives it its number.
local first_number
local function enrol(id, tail, body, state)
  if not first_number then first_number = tonumber(call('HGET', P .. 'number', 'row') or '0') end
  local number = first_number + #made
  made[#made + 1] = id
  touch(id)
  if body then
    local place = #bodies
    bodies[place + 1], bodies[place + 2] = id, body
  end
  count(tail, state, 1)
  return number
end

-- Makes a row.
local function make(id, tail, body, state, seq, attempts, crashes, expires, due, note)
  local number = enrol(id, tail, body, state)
  local row = {state, 0, attempts, crashes, seq, 0, NO_TOKEN, NOBODY, due, NOW, 0, 0, 0, expires, 0, 0, 0, number, note, tail}
  rows[id] = row
  if state == SCHEDULED then plan(id, row, true) end
  return row
end

-- The same of one that runs from its first moment on: only its bytes, for most are not looked into again.
local function make_running(id, tail, body, seq, attempts, crashes, expires, enqueued, token, owner)
  local number = enrol(id, tail, body, RUNNING)
  texts[id] = pack(HEAD, RUNNING, CLAIMED, attempts, crashes, seq, NOW, token, owner, NOW, NOW, enqueued, NOW, 0, expires, 0,
    0, 0, number, 0, '') .. tail
  add_to(joined, owner, id)
end

-- Ends a row that runs under this claim (fence and token, packed) well, by changing its bytes; answers whether it could. What it
-- cannot do is left to `finish`.
local STATE_AND_FLAGS, UP_TO_FENCE, FENCE_AND_TOKEN, OWNER_AT, FINISHED_AT, NOTE_AT = 1, 3, 19, 35, 83, 119
local function succeed(id, claim)
  local text = texts[id]
  if not text or rawget(rows, id) or byte(text) ~= RUNNING then return false end
  local flags = byte(text, 2)
  if flags < CLAIMED or flags >= KEYED then return false end
  if sub(text, FENCE_AND_TOKEN, OWNER_AT - 1) ~= claim or sub(text, NOTE_AT, NOTE_AT + 1) ~= '\0\0' then return false end
  local tail = sub(text, NOTE_AT + 2)
  texts[id] = string.char(SUCCEEDED, flags) .. sub(text, UP_TO_FENCE, FINISHED_AT - 1) .. PACKED_NOW
    .. sub(text, FINISHED_AT + 8)
  touch(id)
  count(tail, RUNNING, -1)
  count(tail, SUCCEEDED, 1)
  add_to(left, sub(text, OWNER_AT, OWNER_AT + 15), id)
  ended[#ended + 1] = id .. PACKED_NOW
  return true
end

-- Who holds a unique key, as it is kept.
local function hold_of(key)
  if holds[key] == nil then holds[key] = call('HGET', P .. 'holds', key) end
  return holds[key]
end

local function rehang(key, hold)
  holds[key], rehung[key] = hold, true
end

-- The key that a row with the flag holds until it has ended.
local function key_of(id)
  if not keys[id] then keys[id] = call('HGET', P .. 'keys', id) end
  return keys[id]
end

-- An id as people read it.
local function in_words(id)
  local hex = string.gsub(id, '.', function(letter) return string.format('%02x', byte(letter)) end)
  return sub(hex, 1, 8) .. '-' .. sub(hex, 9, 12) .. '-' .. sub(hex, 13, 16) .. '-' .. sub(hex, 17, 20) .. '-' .. sub(hex, 21)
end

local NO_WINDOW = string.rep('\0', 8)

local function free_key(id)
  local key = key_of(id)
  if key and hold_of(key) == id .. NO_WINDOW then rehang(key, false) end
end

-- Filled in by `limits.lua`, which follows.
local limits = {}

-- Ends a row. Only a claim's own settle leaves the token, so that it is recognised when it is repeated.
local function finish(id, row, state, note, keep_token)
  -- What runs is on no agenda.
  if row[STATE] ~= RUNNING then wakes[id] = false end
  enter(id, row, state)
  row[FINISHED] = NOW
  if note then row[NOTE] = note end
  if not keep_token then drop_token(row) end
  if state ~= DEAD then ended[#ended + 1] = id .. PACKED_NOW end
  if has(row, KEYED) then free_key(id) end
  if has(row, LIMITED) then limits.release(id, row) end
end

-- Puts a row back on the agenda. Every such move raises the seq.
local function move(id, row, due, note, keep_token)
  enter(id, row, SCHEDULED)
  row[SEQ] = row[SEQ] + 1
  row[DUE] = due
  row[LOOKS] = 0
  row[FINISHED] = 0
  row[NOTE] = note or ''
  if has(row, CANCEL) then row[FLAGS] = row[FLAGS] - CANCEL end
  if not keep_token then drop_token(row) end
  wakes[id] = due
  if has(row, LIMITED) then limits.release(id, row) end
end

-- Its time was over before it started.
local function expire(id, row)
  finish(id, row, EXPIRED, 'it did not start before it expired', false)
end

-- Appends new rows to the log.
local function log_rows()
  local next = first_number
  call('HINCRBY', P .. 'number', 'row', #made)
  local at = 1
  while at <= #made do
    local place = next % SEGMENT
    local segment = (next - place) / SEGMENT
    local last = math.min(at + SEGMENT - place - 1, #made)
    -- Not APPEND: rows that were purged may have taken the string with them.
    call('SETRANGE', P .. 'log:' .. segment, place * 16, table.concat(made, '', at, last))
    call('HINCRBY', P .. 'logs', segment, last - at + 1)
    next = next + last - at + 1
    at = last + 1
  end
end

local function write_rows()
  local list = {}
  for i = 1, #dirty_ids do
    local id = dirty_ids[i]
    list[2 * i - 1] = id
    local row = rawget(rows, id)
    list[2 * i] = row and write(row) or texts[id]
  end
  many('HSET', P .. 'task', list)
end

local function write_counts()
  for tail, states in pairs(counts) do
    for state, by in pairs(states) do
      if by ~= 0 then
        local field = state .. queue_of(tail)
        -- What counts nothing is not kept: queues come and go.
        if call('HINCRBY', P .. 'tally', field, by) == 0 then call('HDEL', P .. 'tally', field) end
      end
    end
  end
end

-- A map of scores by member; false takes the member away.
local function write_scores(key, scores)
  local set, gone = {}, {}
  for id, score in pairs(scores) do
    if score then
      set[#set + 1] = score
      set[#set + 1] = id
    else
      gone[#gone + 1] = id
    end
  end
  many('ZADD', key, set)
  many('ZREM', key, gone)
end

-- Windows stand in `windows` too, by when they are over.
local function write_holds()
  for key in pairs(rehung) do
    local hold = holds[key]
    local until_at = hold and unpack_bytes('<i8', hold, 17) or 0
    if hold then call('HSET', P .. 'holds', key, hold) else call('HDEL', P .. 'holds', key) end
    if until_at > 0 then call('ZADD', P .. 'windows', until_at, key) else call('ZREM', P .. 'windows', key) end
  end
end

local function flush()
  if next(rehung) then write_holds() end
  many('HSET', P .. 'keys', new_keys)
  if #made > 0 then log_rows() end
  write_rows()
  many('HSET', P .. 'body', bodies)
  many('HSET', P .. 'error', errors)
  many('HSET', P .. 'result', results)
  many('RPUSH', P .. 'ended', ended)
  write_counts()
  write_scores(P .. 'wake', wakes)
  write_scores(P .. 'bad', bad)
  for owner, ids in pairs(joined) do
    many('SADD', P .. 'running:' .. owner, ids)
    call('SADD', P .. 'owners', owner)
  end
  for i = 1, #planned do call(unpack(planned[i])) end
  for owner, ids in pairs(left) do many('SREM', P .. 'running:' .. owner, ids) end
end

local function keep_result(id, result)
  results[#results + 1] = id
  results[#results + 1] = result
end

local function fail(id, row, error)
  if error then errors[#errors + 1] = id; errors[#errors + 1] = error end
end
