-- Schedules, as the catalog keeps them: the definition with its numbers in one hash, the cursor, which moves often, in another.

local function number(name)
  return tonumber(call('HGET', P .. 'number', name) or '0')
end

-- Every change of a definition raises the version. At least the time: a store that forgot must not repeat one.
local function raise(name)
  local next = math.max(number(name) + 1, NOW)
  call('HSET', P .. 'number', name, next)
  return next
end

-- Its incarnation, its revision, and the cursor.
local function find(id)
  local schedule = call('HGET', P .. 'schedules', id)
  if not schedule then return end
  local incarnation, revision = unpack_bytes('<i8i8', schedule)
  return incarnation, revision, unpack_bytes('<i8', call('HGET', P .. 'cursors', id) or pack('<i8', NOW))
end

local function store(id, incarnation, revision, rest)
  call('HSET', P .. 'schedules', id, pack('<i8i8i8', incarnation, revision, NOW) .. rest)
end

-- Id, cursor and schedule, or nothing.
local function shown(id)
  local schedule = call('HGET', P .. 'schedules', id)
  return schedule and {id, call('HGET', P .. 'cursors', id) or pack('<i8', NOW), schedule}
end
