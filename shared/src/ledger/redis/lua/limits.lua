-- Who has what of which limit, as `limit.rs` decides it: a task's parts are a slot (0), a place in a line (1), an instant of a
-- rate (2). `slots:` and `line:` hold the ids of a limit's tasks, `limits` where each limit stands, `limit_parts` what each task
-- has. Written at once, not in `flush`: each step builds on the one before.

local SLOT, PLACE, INSTANT = '0', '1', '2'
local STANDING = '<i4i8i8'
local NO_SLOTS = -1
limits.standings, limits.of = {}, {}

-- Where a limit stands: its slots, the first free instant of its rate, and how far those are apart.
function limits.standing(limit)
  local known = limits.standings[limit]
  if not known then
    local text = call('HGET', P .. 'limits', limit)
    known = text and {unpack_bytes(STANDING, text)} or {NO_SLOTS, 0, 0}
    limits.standings[limit] = known
  end
  return known
end

function limits.keep(limit)
  local known = limits.standings[limit]
  call('HSET', P .. 'limits', limit, pack(STANDING, known[1], known[2], known[3]))
end

-- What a task has, as a set.
function limits.parts(id)
  local known = limits.of[id]
  if not known then
    known = {}
    for part in string.gmatch(call('HGET', P .. 'limit_parts', id) or '', '[^\n]+') do known[part] = true end
    limits.of[id] = known
  end
  return known
end

function limits.keep_parts(id)
  local list = {}
  for part in pairs(limits.of[id]) do list[#list + 1] = part end
  if #list == 0 then
    call('HDEL', P .. 'limit_parts', id)
  else
    table.sort(list)
    call('HSET', P .. 'limit_parts', id, table.concat(list, '\n'))
  end
end

function limits.give(id, part, limit, at)
  limits.parts(id)[part .. limit] = true
  if part == SLOT then call('ZADD', P .. 'slots:' .. limit, at, id) end
  if part == PLACE then call('ZADD', P .. 'line:' .. limit, at, id) end
end

-- The virtual time of a fair queue: whoever comes stands behind what has gone.
function limits.gone(limit, place)
  if sub(limit, 1, 5) ~= 'fair:' then return end
  local standing = limits.standing(limit)
  standing[2] = math.max(standing[2], place)
  limits.keep(limit)
end

-- Gives free slots to the first in line. Whoever does not wait any more is passed over.
function limits.fill(limit)
  local free = limits.standing(limit)[1] - call('ZCARD', P .. 'slots:' .. limit)
  while free > 0 do
    local id, place = unpack(call('ZPOPMIN', P .. 'line:' .. limit))
    if not id then return end
    limits.gone(limit, tonumber(place))
    load({id})
    local row = rows[id]
    if row and row[STATE] == SCHEDULED and has(row, LIMITED) then
      limits.parts(id)[PLACE .. limit] = nil
      limits.give(id, SLOT, limit, NOW)
      limits.keep_parts(id)
      row[DUE], row[NOTE] = NOW, ''
      touch(id)
      wakes[id] = NOW
      free = free - 1
    else
      call('HDEL', P .. 'limit_parts', id)
    end
  end
end

-- Nothing would be forgotten with it.
function limits.forget_if_idle(limit)
  if limits.standing(limit)[2] > NOW or call('EXISTS', P .. 'slots:' .. limit, P .. 'line:' .. limit) > 0 then return end
  call('HDEL', P .. 'limits', limit)
  call('DEL', P .. 'turns:' .. limit)
  limits.standings[limit] = nil
end

-- A task ends, moves or stops running: what it had goes, and its slots to those who wait.
function limits.release(id, row)
  row[FLAGS] = row[FLAGS] - LIMITED
  touch(id)
  local list = {}
  for part in pairs(limits.parts(id)) do list[#list + 1] = part end
  table.sort(list)
  limits.of[id] = {}
  call('HDEL', P .. 'limit_parts', id)
  for _, had in ipairs(list) do
    local part, limit = sub(had, 1, 1), sub(had, 2)
    if part == PLACE then call('ZREM', P .. 'line:' .. limit, id) end
    if part == SLOT then
      call('ZREM', P .. 'slots:' .. limit, id)
      limits.fill(limit)
      limits.forget_if_idle(limit)
    end
  end
end

