-- Retires lost members, and makes their running rows due again: how many crashes are too many, then each member as owner and
-- counter. Answers the owners retired, the ids of tasks that died, and how many were rescheduled and cancelled.

local most = tonumber(ARGV[1])
local retired, dead, rescheduled, stopped = {}, {}, 0, 0
local workers = {}

local function counter_of(member)
  return (unpack_bytes('<i8', member, 2))
end

for at = 2, #ARGV do
  local owner, counter = unpack_bytes('<c16i8', ARGV[at])
  local member = call('HGET', P .. 'members', owner)
  if member and counter_of(member) == counter then
    call('HSET', P .. 'lost', owner, member)
    call('HDEL', P .. 'members', owner)
    retired[#retired + 1] = owner
  end
end

-- So many times as many workers may be lost while a suspect ran apart from everything else in them; `rule.rs` says the same.
local LOST_APART, SUSPECT_AFTER = 3, 2

local function is_suspect(crashes)
  return most > 1 and crashes >= math.min(most - 1, SUSPECT_AFTER)
end

-- A worker's name, and whether it ran suspects alone.
local function worker_of(owner)
  if not workers[owner] then
    local name, info = introduce(owner)
    if name then
      local readable, said = pcall(cjson.decode, info)
      workers[owner] = {name, readable and type(said) == 'table' and said.isolates == true}
    else
      local hex = string.gsub(owner, '.', function(letter) return string.format('%02x', byte(letter)) end)
      workers[owner] = {hex, false}
    end
  end
  return unpack(workers[owner])
end

local function crash(id, row)
  local name, isolates = worker_of(row[OWNER])
  local note = 'the worker ' .. name .. ' was lost while it ran'
  local may_see = isolates and is_suspect(row[CRASHES]) and most * LOST_APART or most
  keep_run(id, row, 'lost', note, nil)
  row[CRASHES] = row[CRASHES] + 1
  if has(row, CANCEL) then
    stopped = stopped + 1
    finish(id, row, CANCELLED, note, false)
  elseif row[CRASHES] >= may_see then
    dead[#dead + 1] = id
    finish(id, row, DEAD, note, false)
    local message = note .. '; ' .. row[CRASHES] .. ' workers were lost running this task, so it is not tried again'
    fail(id, row, cjson.encode({kind = 'crashed', message = message}))
  else
    rescheduled = rescheduled + 1
    move(id, row, NOW, note, false)
  end
end

local gone = {}
for _, owner in ipairs(call('SMEMBERS', P .. 'owners')) do
  if call('HEXISTS', P .. 'members', owner) == 0 then
    local ids = call('SMEMBERS', P .. 'running:' .. owner)
    table.sort(ids)
    load(ids)
    for _, id in ipairs(ids) do
      local row = rows[id]
      if row and row[STATE] == RUNNING and row[OWNER] == owner then crash(id, row) end
    end
    gone[#gone + 1] = owner
  end
end
flush()
for _, owner in ipairs(gone) do
  call('SREM', P .. 'owners', owner)
  call('DEL', P .. 'running:' .. owner)
end
return {retired, dead, rescheduled, stopped}
