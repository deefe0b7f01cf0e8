-- Asks whether it is tasks' turn in their fair queues, as `limit.rs` decides: each as id, seq, slots, step, limit, tenant and
-- note. Answers one byte each: 1 if it is.

local TURN = '<c16i8i4i8Hc0Hc0Hc0'

-- Who comes back from another limit has waited its turn.
local function has_any(id)
  for part in pairs(limits.parts(id)) do
    if sub(part, 1, 1) ~= PLACE then return true end
  end
  return false
end

local function line_up(id, slots, step, limit, tenant)
  if has_any(id) then return true end
  local standing = limits.standing(limit)
  standing[1] = slots
  limits.keep(limit)
  limits.fill(limit)
  if call('ZCARD', P .. 'slots:' .. limit) < slots then
    limits.give(id, SLOT, limit, NOW)
    return true
  end
  if not limits.parts(id)[PLACE .. limit] then
    local last = tonumber(call('HGET', P .. 'turns:' .. limit, tenant) or '0')
    local place = math.max(standing[2], last) + step
    call('HSET', P .. 'turns:' .. limit, tenant, place)
    limits.give(id, PLACE, limit, place)
  end
  return false
end

local ids = {}
for at = 1, #ARGV do ids[#ids + 1] = id_at(at) end
load(ids)
local answers = {}
for at = 1, #ARGV do
  local id, seq, slots, step, limit, tenant, note = unpack_bytes(TURN, ARGV[at])
  local row, is_turn = rows[id], false
  if row and row[STATE] == SCHEDULED and row[SEQ] == seq then
    is_turn = line_up(id, slots, step, limit, tenant)
    limits.keep_parts(id)
    touch(id)
    if not has(row, LIMITED) then row[FLAGS] = row[FLAGS] + LIMITED end
    if not is_turn then
      wakes[id] = false
      row[NOTE] = note
    end
  end
  answers[#answers + 1] = is_turn and '\1' or '\0'
end
flush()
return table.concat(answers)
