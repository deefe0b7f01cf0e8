-- Gives claims back that are still this owner's, and lets it leave if it says so: the owner, whether it leaves, the note,
-- then each claim as id, fence and token. One that leaves gives back all that is its own. Answers how many.

local owner, leaves, note = ARGV[1], ARGV[2] == '1', ARGV[3]

local function held(row)
  return row and row[STATE] == RUNNING and row[OWNER] == owner
end

local released = 0
local function give_back(id, row)
  -- A settle of this claim that still comes would be no repetition: it must be told that it is stale.
  apply(id, row, RELEASE, 0, note, nil, nil, false)
  released = released + 1
end

if leaves then
  local ids = call('SMEMBERS', P .. 'running:' .. owner)
  load(ids)
  for _, id in ipairs(ids) do
    if held(rows[id]) then give_back(id, rows[id]) end
  end
else
  local ids = {}
  for at = 4, #ARGV do ids[#ids + 1] = id_at(at) end
  load(ids)
  for at = 4, #ARGV do
    local id, fence, token = unpack_bytes('<c16i8c8', ARGV[at])
    local row = rows[id]
    if held(row) and row[FENCE] == fence and has(row, CLAIMED) and row[TOKEN] == token then give_back(id, row) end
  end
end

flush()
if leaves then
  local member = call('HGET', P .. 'members', owner)
  if member then
    call('HSET', P .. 'left', owner, member)
    call('HDEL', P .. 'members', owner)
  end
  call('SREM', P .. 'owners', owner)
end
return released
