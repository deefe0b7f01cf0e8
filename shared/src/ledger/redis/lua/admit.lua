-- Takes a claimed task through its limits, as `limit.rs` does. They stand behind the numbers of its request: each its id, its
-- slots (or less than none), the time between two instants of its rate (or less than none), and how early a burst may be.

local LIMIT = '<Hc0i4i8i8'
local NUMBERS = 56
local LIMITED_BY = 5
-- Places of one priority in a line, as `limit.rs` has it.
local BAND = 10000000000000

local function limits_asked(asked)
  local list, at = {}, NUMBERS + 1
  while at <= #asked do
    local limit, running, interval, early
    limit, running, interval, early, at = unpack_bytes(LIMIT, asked, at)
    list[#list + 1] = {id = limit, running = running, interval = interval, early = early}
  end
  return list
end

-- Takes the next free instant of a rate.
local function take_instant(limit)
  local standing = limits.standing(limit.id)
  local ahead = math.max(standing[2] - NOW, 0)
  -- A changed rate counts for those that come, as if it had always been so.
  if standing[3] ~= 0 then ahead = math.floor(ahead * limit.interval / standing[3]) end
  standing[2], standing[3] = NOW + ahead + limit.interval, limit.interval
  limits.keep(limit.id)
  return NOW + math.max(ahead - limit.early, 0)
end

-- The latest instant of its rates that is yet to come, and of which limit it is.
local function pass_rates(id, list)
  local by, latest
  for i, limit in ipairs(list) do
    if limit.interval >= 0 and not limits.parts(id)[INSTANT .. limit.id] then
      local at = take_instant(limit)
      limits.give(id, INSTANT, limit.id, at)
      if at > NOW and (not latest or at > latest) then by, latest = i, at end
    end
  end
  return by, latest
end

-- Takes a slot, or a place in the line. Nobody overtakes those who wait: what is free is theirs first.
local function enter_limit(id, limit)
  local standing = limits.standing(limit.id)
  if standing[1] ~= limit.running then
    standing[1] = limit.running
    limits.keep(limit.id)
  end
  if limits.parts(id)[SLOT .. limit.id] then return true end
  limits.fill(limit.id)
  if call('ZCARD', P .. 'slots:' .. limit.id) < limit.running then
    limits.give(id, SLOT, limit.id, NOW)
    return true
  end
  -- Behind those of its priority, and before those of a lower one.
  local band = (9 - byte(rows[id][TAIL])) * BAND
  local below = string.format('(%.0f', band + BAND)
  local last = call('ZREVRANGEBYSCORE', P .. 'line:' .. limit.id, below, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  limits.give(id, PLACE, limit.id, math.max(band + math.floor(NOW / 1000), (tonumber(last) or 0) + 1))
  return false
end

-- Which of its limits it waits for, and until when if that is known; nothing if it runs.
local function pass(id, list)
  local by, latest = pass_rates(id, list)
  if by then return by, latest end
  for i, limit in ipairs(list) do
    if limit.running >= 0 and not enter_limit(id, limit) then return i end
  end
end

-- A task that waits for another limit leaves its slot of a fair queue to others.
local function give_up_turn(id)
  for part in pairs(limits.parts(id)) do
    if sub(part, 1, 6) == SLOT .. 'fair:' then
      local limit = sub(part, 2)
      limits.parts(id)[part] = nil
      limits.keep_parts(id)
      call('ZREM', P .. 'slots:' .. limit, id)
      limits.fill(limit)
      limits.forget_if_idle(limit)
      return
    end
  end
end

-- What a claim that was granted is answered in the end.
local function admitted(id, asked, grant)
  if #asked == NUMBERS then return grant end
  local list, row = limits_asked(asked), rows[id]
  local by, latest = pass(id, list)
  limits.keep_parts(id)
  touch(id)
  if not has(row, LIMITED) then row[FLAGS] = row[FLAGS] + LIMITED end
  if not by then return grant end
  give_up_turn(id)
  enter(id, row, SCHEDULED)
  drop_token(row)
  row[SEQ], row[OWNER], row[STARTED] = row[SEQ] + 1, NOBODY, 0
  if latest then row[DUE] = latest end
  wakes[id] = latest or false
  row[NOTE] = (latest and 'waits for its instant of the rate of ' or 'waits in line for a slot of ') .. list[by].id
  return pack('<BHi8', LIMITED_BY, by - 1, latest or 0)
end
