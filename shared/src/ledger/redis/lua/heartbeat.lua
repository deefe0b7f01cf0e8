-- A member is alive: its owner, its role, its counter and lease, its name, and what it says of itself. Answers the time,
-- whether it is retired, its tasks that somebody asked to stop, the paused queues, and every member's pulse.

local owner, role, counter, lease, name, info = unpack(ARGV)
local SCHEMA = 1

-- A store that forgot everything is one of this version now.
call('SET', P .. 'schema', SCHEMA, 'NX')

local retired = call('HEXISTS', P .. 'lost', owner) + call('HEXISTS', P .. 'left', owner) > 0
if not retired then
  local known, started = call('HGET', P .. 'members', owner), NOW
  -- It keeps the name under which it came: records show it.
  if known then started, name = (unpack_bytes('<i8', known, 18)), (unpack_bytes('<Hc0', known, 34)) end
  local member = pack('<Bi8i8i8i8Hc0', tonumber(role), tonumber(counter), tonumber(lease), started, NOW, #name, name)
  call('HSET', P .. 'members', owner, member .. info)
end

local asked = call('SMEMBERS', P .. 'cancels')
load(asked)
local cancels, over = {}, {}
for _, id in ipairs(asked) do
  local row = rows[id]
  if not row or row[STATE] ~= RUNNING or not has(row, CANCEL) then
    over[#over + 1] = id
  elseif row[OWNER] == owner then
    cancels[#cancels + 1] = id
  end
end
many('SREM', P .. 'cancels', over)

local pulses = {}
local members = call('HGETALL', P .. 'members')
for at = 1, #members, 2 do pulses[#pulses + 1] = members[at] .. sub(members[at + 1], 1, 17) end
return {NOW, retired and 1 or 0, cancels, call('SMEMBERS', P .. 'paused'), pulses}
