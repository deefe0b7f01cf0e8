-- What there is: for tasks, details, occurrences, unique keys and members how many, how many bytes (or nothing, where the
-- server does not tell), and when the oldest was made (or zero). Sizes are the server's own estimates.

-- Of the records of so many schedules at most is told.
local LOOKED_AT = 1000

local function bytes_of(keys)
  local sum = 0
  for _, key in ipairs(keys) do
    local bytes = redis.pcall('MEMORY', 'USAGE', P .. key)
    if type(bytes) == 'table' then return false end
    sum = sum + (bytes or 0)
  end
  return sum
end

local function length(keys)
  local sum = 0
  for _, key in ipairs(keys) do sum = sum + call('HLEN', P .. key) end
  return sum
end

local streams, records = {}, 0
local schedules = call('ZRANGE', P .. 'streams', 0, LOOKED_AT - 1, 'WITHSCORES')
for at = 1, #schedules, 2 do
  local key = 'occurrences:' .. schedules[at]
  streams[#streams + 1] = key
  records = records + call('XLEN', P .. key)
end
local oldest = schedules[2] and tonumber(schedules[2]) or 0

-- Those that ended, in the order in which they did; some in lists of their state's own.
local tasks = {'task', 'wake', 'bad', 'ended', 'kept'}
for _, state in ipairs({SUCCEEDED, CANCELLED, EXPIRED}) do
  tasks[#tasks + 1] = 'ended:' .. state
  tasks[#tasks + 1] = 'kept:' .. state
end
local members = {'members', 'lost', 'left'}
return {
  {length({'task'}), bytes_of(tasks), 0},
  {length({'body'}), bytes_of({'body', 'error', 'result', 'runs'}), 0},
  {records, bytes_of(streams), oldest},
  {length({'holds'}), bytes_of({'holds', 'keys', 'windows'}), 0},
  {length(members), bytes_of(members), 0},
}
