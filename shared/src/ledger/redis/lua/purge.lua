-- Removes what retention no longer keeps: the ages of ids, records of occurrences and members, and how many of a kind at
-- most; the age of dead tasks that are dropped (below zero for none), and what is written on them; the ages of the details of
-- succeeded, cancelled and expired tasks. Answers how many details, ids, records, windows and dead tasks went, and how many
-- were put into their state's own list.

local ids_before, records_before, members_before =
  NOW - tonumber(ARGV[1]), NOW - tonumber(ARGV[2]), NOW - tonumber(ARGV[3])
local limit = tonumber(ARGV[4])
local details_before =
  {[SUCCEEDED] = NOW - tonumber(ARGV[7]), [CANCELLED] = NOW - tonumber(ARGV[8]), [EXPIRED] = NOW - tonumber(ARGV[9])}
-- Before this, the details of one state or another go.
local first_before = math.max(details_before[SUCCEEDED], details_before[CANCELLED], details_before[EXPIRED])
local gone_details, gone_ids, gone_records = 0, 0, 0
local details, ids, places, shortened = {}, {}, {}, {}

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
if tonumber(ARGV[5]) >= 0 then drop_dead(tonumber(ARGV[5]), ARGV[6]) end

-- Those whose state is kept longer than others wait in a list of their own, so that nobody waits behind them.
local moved, waits = {}, 0
local function move_to(list, entry)
  moved[list] = moved[list] or {}
  local to = moved[list]
  to[#to + 1] = entry
end

local function forget_ids(list)
  along(list, function(_, id, row, finished)
    if finished >= ids_before or gone_ids >= limit then return false end
    forget(id, row)
    return true
  end)
end

-- Where those go whose details are gone: into a list that stays in the order in which they ended.
local function forget_some(list, before, kept)
  along(list, function(entry, id, row, finished)
    if finished < ids_before then
      if gone_ids >= limit then return false end
      forget(id, row)
      return true
    end
    if finished >= before or #shortened >= limit then return false end
    if finished >= details_before[row[STATE]] then
      move_to('ended:' .. row[STATE], entry)
      waits = waits + 1
      return true
    end
    forget_details(id)
    shortened[#shortened + 1] = id
    move_to(kept, entry)
    return true
  end)
end

local OWN = {SUCCEEDED, CANCELLED, EXPIRED}
forget_ids('kept')
for _, state in ipairs(OWN) do forget_ids('kept:' .. state) end
for _, state in ipairs(OWN) do forget_some('ended:' .. state, details_before[state], 'kept:' .. state) end
forget_some('ended', first_before, 'kept')

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
for list, entries in pairs(moved) do many('RPUSH', P .. list, entries) end
for _, part in ipairs({'body', 'error', 'result', 'runs', 'keys'}) do many('HDEL', P .. part, details) end
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
return {gone_details, gone_ids, gone_records, #over, gone_dead, waits}
