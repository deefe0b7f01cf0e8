-- Counts by state and queue, the paused queues, and of the thousand tasks that wait longest for a beat, queue and due time.

local waits = {}
local ids = call('ZRANGEBYSCORE', P .. 'wake', '-inf', NOW, 'LIMIT', 0, ARGV[1])
load(ids)
local oldest = {}
for _, id in ipairs(ids) do
  local row = rows[id]
  local queue = row and queue_of(row[TAIL])
  if row and (not oldest[queue] or row[DUE] < oldest[queue]) then oldest[queue] = row[DUE] end
end
for queue, due in pairs(oldest) do waits[#waits + 1] = {queue, NOW - due} end
return {call('HGETALL', P .. 'tally'), call('SMEMBERS', P .. 'paused'), waits}
