-- Gives slots away that nobody came for, fills lines that have free slots, and forgets limits of which nothing is taken: how
-- long a slot is kept. Looks at so many limits, and goes on from there the next time.

local LOOKS = 5000
local late = NOW - tonumber(ARGV[1])

-- It has slots, does not run, waits in no other line, and was not given the last of its slots just now.
local function is_late(id)
  local row = rows[id]
  if not row or row[STATE] == RUNNING or not has(row, LIMITED) then return false end
  for part in pairs(limits.parts(id)) do
    if sub(part, 1, 1) == PLACE then return false end
    local since = sub(part, 1, 1) == SLOT and call('ZSCORE', P .. 'slots:' .. sub(part, 2), id)
    if since and tonumber(since) >= late then return false end
  end
  return true
end

local function forget_turns(limit)
  local gone, turns = limits.standing(limit)[2], call('HGETALL', P .. 'turns:' .. limit)
  for i = 1, #turns, 2 do
    if tonumber(turns[i + 1]) <= gone then call('HDEL', P .. 'turns:' .. limit, turns[i]) end
  end
end

local function mend(limit)
  -- Slots of a fair queue are kept while their tasks wait in the broker's.
  if sub(limit, 1, 5) == 'fair:' then
    forget_turns(limit)
    limits.fill(limit)
    return limits.forget_if_idle(limit)
  end
  local held = call('ZRANGEBYSCORE', P .. 'slots:' .. limit, '-inf', string.format('(%.0f', late), 'LIMIT', 0, MOST)
  load(held)
  for _, id in ipairs(held) do
    if not rows[id] then
      call('ZREM', P .. 'slots:' .. limit, id)
    elseif is_late(id) then
      limits.release(id, rows[id])
    end
  end
  limits.fill(limit)
  limits.forget_if_idle(limit)
end

local from = call('HGET', P .. 'number', 'limits_mended') or '0'
local page = call('HSCAN', P .. 'limits', from, 'COUNT', LOOKS)
for i = 1, #page[2], 2 do mend(page[2][i]) end
if page[1] ~= from then call('HSET', P .. 'number', 'limits_mended', page[1]) end
flush()
return #page[2] / 2
