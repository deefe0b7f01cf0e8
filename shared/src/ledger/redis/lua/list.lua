-- A part of a listing, the newest recorded first: below which number (-1 for the newest), how many at most, how many rows to
-- look at, the states as digits (empty for any), queue, name, schedule and tag (empty for any), and recorded since. Answers
-- below which number to go on (0 at the end), and the records, each with its number.

local below, limit, budget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local states, queue, name, schedule, tag, since = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
local found = {}

if below < 0 then below = tonumber(call('HGET', P .. 'number', 'row') or '0') end

local function fits(row)
  if states ~= '' and not string.find(states, row[STATE], 1, true) then return false end
  if row[RECORDED] < since then return false end
  if queue == '' and name == '' and schedule == '' and tag == '' then return true end
  local its_queue, its_name, its_schedule, its_tags = unpack_bytes('<Hc0Hc0Hc0Hc0', row[TAIL], 2)
  return (queue == '' or queue == its_queue) and (name == '' or name == its_name)
    and (schedule == '' or schedule == its_schedule)
    and (tag == '' or string.find(its_tags, ',' .. tag .. ',', 1, true) ~= nil)
end

-- Takes what fits of these, which stand in order; answers whether that is enough.
local function take(ids)
  load(ids)
  for _, id in ipairs(ids) do
    local row = rows[id]
    -- What was purged leaves its place in the log empty.
    if row and row[NUMBER] < below then
      below = row[NUMBER]
      if fits(row) then found[#found + 1] = {row[NUMBER], record(id, row)} end
      if #found == limit then return true end
    end
  end
end

-- Of a segment of the log, what lies below the number.
local function of_segment(segment)
  local log, ids = call('GET', P .. 'log:' .. segment) or '', {}
  for place = math.min(below - segment * SEGMENT, #log / 16) - 1, 0, -1 do
    local id = sub(log, place * 16 + 1, place * 16 + 16)
    if id ~= NOBODY then ids[#ids + 1] = id end
  end
  return ids
end

-- Those that ended badly are few, and are what people look for.
local function of_the_bad()
  local ids = call('ZREVRANGEBYSCORE', P .. 'bad', string.format('(%.0f', below), '-inf', 'LIMIT', 0, budget)
  if not take(ids) and #ids < budget then below = 0 end
end

local function of_the_log()
  while below > 0 and budget > 0 do
    local segment = math.floor((below - 1) / SEGMENT)
    local ids = of_segment(segment)
    if take(ids) then return end
    below = segment * SEGMENT
    budget = budget - #ids - 1
  end
end

if states ~= '' and not string.find(states, '[0-4]') then of_the_bad() else of_the_log() end
return {below, found}
