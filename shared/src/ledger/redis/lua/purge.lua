-- Removes what retention no longer keeps: the ages of details, ids, records of occurrences and members, and how many of a
-- kind at most; then the age of dead tasks that are dropped (below zero for none), and what is written on them. Answers how
-- many details, ids, records, windows and dead tasks went.

local details_before, ids_before = NOW - tonumber(ARGV[1]), NOW - tonumber(ARGV[2])
local records_before, members_before = NOW - tonumber(ARGV[3]), NOW - tonumber(ARGV[4])
local limit = tonumber(ARGV[5])
local gone_details, gone_ids, gone_records = 0, 0, 0
local details, ids, places, kept, shortened = {}, {}, {}, {}, {}

local gone_dead = 0
local function forget_details(id)
  details[#details + 1] = id
end

local function forget(id, row)
  rows[id], texts[id] = nil, nil
  ids[#ids + 1] = id
  forget_details(id)
  count(row[TAIL], row[STATE], -1)
  bad[id] = false
  places[#places + 1] = row[NUMBER]
  gone_ids = gone_ids + 1
end

-- Goes along a list of those that ended, in the order in which they did; `judge` says whether to go on.
local function along(list, judge)
  local entries = call('LRANGE', P .. list, 0, limit - 1)
  local known = {}
  for _, entry in ipairs(entries) do known[#known + 1] = sub(entry, 1, 16) end
  load(known)
  local past = 0
  for _, entry in ipairs(entries) do
    local id = sub(entry, 1, 16)
    local finished, row = unpack_bytes('<i8', entry, 17), rows[id]
    -- One that was retried by hand meanwhile stands further behind, or will.
    local stands = row and row[FINISHED] == finished and row[STATE] >= SUCCEEDED and row[STATE] ~= DEAD
    if stands and not judge(entry, id, row, finished) then break end
    past = past + 1
  end
  if past > 0 then call('LTRIM', P .. list, past, -1) end
end

-- Drops what died long ago: walks along those that ended badly, so many each time, in a circle.
local reached
local function drop_dead(age, note)
  local from = call('HGET', P .. 'number', 'dead_dropped') or '-inf'
  local looked = call('ZRANGEBYSCORE', P .. 'bad', from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  local known = {}
  for at = 1, #looked, 2 do known[#known + 1] = looked[at] end
  load(known)
  for _, id in ipairs(known) do
    local row = rows[id]
    if row and row[STATE] == DEAD and row[FINISHED] < NOW - age then
      enter(id, row, CANCELLED)
      row[NOTE] = note
      forget_details(id)
      ended[#ended + 1] = id .. pack('<i8', row[FINISHED])
      gone_dead = gone_dead + 1
    end
  end
  reached = #known == limit and '(' .. looked[#looked] or '-inf'
end
if tonumber(ARGV[6]) >= 0 then drop_dead(tonumber(ARGV[6]), ARGV[7]) end

along('kept', function(_, id, row, finished)
  if finished >= ids_before or gone_ids >= limit then return false end
  forget(id, row)
  return true
end)
along('ended', function(entry, id, row, finished)
  if finished < ids_before then
    if gone_ids >= limit then return false end
    forget(id, row)
    return true
  end
  if finished >= details_before then return false end
  forget_details(id)
  shortened[#shortened + 1] = id
  kept[#kept + 1] = entry
  return true
end)

-- Takes rows out of the log; a segment without any goes.
local function leave_log()
  for _, number in ipairs(places) do
    local place = number % SEGMENT
    local segment = (number - place) / SEGMENT
    if call('HINCRBY', P .. 'logs', segment, -1) <= 0 then
      call('DEL', P .. 'log:' .. segment)
      call('HDEL', P .. 'logs', segment)
    else
      call('SETRANGE', P .. 'log:' .. segment, place * 16, NOBODY)
    end
  end
end

-- What is left of a row without its details: what a repeat has to find.
local function shorten()
  local list = {}
  for _, id in ipairs(shortened) do
    local row = rows[id]
    list[#list + 1] = id
    list[#list + 1] = pack(SHORT, row[STATE] + FORGOTTEN, row[SEQ], row[ATTEMPTS], row[CRASHES], row[RECORDED], row[FINISHED],
      row[NUMBER]) .. row[TAIL]
  end
  many('HSET', P .. 'task', list)
end

local known_details = fetch(P .. 'body', shortened)
for _, known in ipairs(known_details) do
  if known then gone_details = gone_details + 1 end
end
shorten()
flush()
if reached then call('HSET', P .. 'number', 'dead_dropped', reached) end
many('RPUSH', P .. 'kept', kept)
for _, part in ipairs({'body', 'error', 'result', 'keys'}) do many('HDEL', P .. part, details) end
many('HDEL', P .. 'task', ids)
leave_log()

-- A stream keeps the records of one schedule, the oldest first; its place in `streams` is how old its oldest is.
local function purge_records(schedule)
  local stream = P .. 'occurrences:' .. schedule
  local over = {}
  for _, entry in ipairs(call('XRANGE', stream, '-', '+', 'COUNT', limit + 1)) do
    local _, _, _, _, until_at = unpack_bytes('<i8i8Bi8i8', entry[2][2])
    if until_at >= records_before or gone_records >= limit then
      many('XDEL', stream, over)
      call('ZADD', P .. 'streams', until_at, schedule)
      return
    end
    over[#over + 1] = entry[1]
    gone_records = gone_records + 1
  end
  call('DEL', stream)
  call('ZREM', P .. 'streams', schedule)
end

for _, schedule in ipairs(call('ZRANGEBYSCORE', P .. 'streams', '-inf', string.format('(%.0f', records_before), 'LIMIT', 0, 16)) do
  if gone_records < limit then purge_records(schedule) end
end

for _, former in ipairs({'lost', 'left'}) do
  local members = call('HGETALL', P .. former)
  for at = 1, #members, 2 do
    if unpack_bytes('<i8', members[at + 1], 26) < members_before then call('HDEL', P .. former, members[at]) end
  end
end

-- A key that somebody took again since has a later place in `windows`.
local over = call('ZRANGEBYSCORE', P .. 'windows', '-inf', NOW, 'LIMIT', 0, limit)
many('HDEL', P .. 'holds', over)
many('ZREM', P .. 'windows', over)
return {gone_details, gone_ids, gone_records, #over, gone_dead}
