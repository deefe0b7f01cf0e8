-- Moves cursors: how far ahead of now one may stand, then for each the schedule's id, its numbers, the entries to fire and the
-- records of what became of its instants. Answers nine bytes each.

local ADVANCED, CONFLICT, EARLY = 0, 1, 2
local ADVANCE = '<i8i8i8i8HH'
local FIRED, MERGED = 1, 2
-- Of a record: how many bytes stand before the task.
local BEFORE_TASK = 1 + 8 + 8 + 8
local ahead = tonumber(ARGV[1])

local ids, at = {}, 2
while at <= #ARGV do
  local _, _, _, _, fires, records = unpack_bytes(ADVANCE, ARGV[at + 1])
  for fire = 0, fires - 1 do ids[#ids + 1] = id_at(at + 2 + fire * 3) end
  at = at + 2 + fires * 3 + records
end
load(ids)

local function refusal(id, incarnation, revision, from, to)
  if to > NOW then return EARLY, NOW end
  local its_incarnation, its_revision, cursor = find(id)
  local same = its_incarnation == incarnation and its_revision == revision and cursor == from
  -- A cursor this far ahead comes from a time when the store's clock was wrong.
  if not same or (to < from and cursor <= NOW + ahead) then return CONFLICT, 0 end
end

-- Whether this instant was recorded lately.
local function recorded(stream, incarnation, planned)
  for _, entry in ipairs(call('XREVRANGE', stream, '+', '-', 'COUNT', MOST)) do
    local its_incarnation, _, _, its_planned = unpack_bytes('<i8i8Bi8', entry[2][2])
    if its_incarnation == incarnation and its_planned == planned then return true end
  end
end

-- Appends to the schedule's records, in the order in which they are made.
local function keep(id, incarnation, record)
  local stream = P .. 'occurrences:' .. id
  local last = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local time, place = NOW, 0
  if last then
    local its_time, its_place = string.match(last[1], '(%d+)-(%d+)')
    if tonumber(its_time) >= NOW then time, place = tonumber(its_time), tonumber(its_place) + 1 end
  end
  call('XADD', stream, string.format('%.0f-%d', time, place), 'o', pack('<i8i8', incarnation, NOW) .. record)
  local _, _, until_at = unpack_bytes('<Bi8i8', record)
  call('ZADD', P .. 'streams', 'NX', until_at, id)
end

local answers, moved = {}, {}
at = 2
while at <= #ARGV do
  local id = ARGV[at]
  local incarnation, revision, from, to, fires, records = unpack_bytes(ADVANCE, ARGV[at + 1])
  local refused, what = refusal(id, incarnation, revision, from, to)
  at = at + 2
  local new, known, merged = 0, {}, {}
  for fire = 0, refused and -1 or fires - 1 do
    local place = at + fire * 3
    local answer, by = add(place)
    if by then merged[id_at(place)] = by end
    if answer then known[id_at(place)] = true else new = new + 1 end
  end
  at = at + fires * 3
  if not refused then
    call('HSET', P .. 'cursors', id, pack('<i8', to))
    for record = at, at + records - 1 do
      local what = ARGV[record]
      local kind, planned, _, _, task = unpack_bytes('<Bi8i8i8c16', what)
      local is_known = kind == FIRED and known[task] and recorded(P .. 'occurrences:' .. id, incarnation, planned)
      -- Another task holds its key: that one stands for it.
      if kind == FIRED and merged[task] then
        what = string.char(MERGED) .. sub(what, 2, BEFORE_TASK) .. merged[task]
      end
      if not is_known then keep(id, incarnation, what) end
    end
  end
  at = at + records
  answers[#answers + 1] = pack('<Bi8', refused or ADVANCED, refused and what or new)
end
flush()
return table.concat(answers)
