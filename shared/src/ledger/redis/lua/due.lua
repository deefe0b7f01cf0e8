-- Leases what is due: at most so many entries, for so long, and by how much later a claimed task must have been marked to
-- have overtaken another. Answers the time, the next time to look (or nothing), and three parts for each entry: its row,
-- its message, and whether it was overtaken.

local limit, lease, overtaken = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local ids = call('ZRANGEBYSCORE', P .. 'wake', '-inf', NOW, 'LIMIT', 0, limit)
load(ids)
local leased, fields, found = {}, {}, {}
for _, id in ipairs(ids) do
  local row = rows[id]
  if not row then
    -- Nothing can be done with it, and it must not keep those behind it waiting.
    wakes[id] = false
  elseif row[EXPIRES] ~= 0 and row[EXPIRES] <= NOW then
    expire(id, row)
  else
    leased[#leased + 1] = id
    fields[#fields + 1] = string.format('%d', byte(row[TAIL])) .. ' ' .. queue_of(row[TAIL])
    wakes[id] = NOW + lease
  end
end
local messages = fetch(P .. 'body', leased)
local progress = fetch(P .. 'progress', fields)
for i, id in ipairs(leased) do
  local row = rows[id]
  local newest = tonumber(progress[i] or '0')
  found[#found + 1] = id .. write(row)
  found[#found + 1] = messages[i]
  found[#found + 1] = row[ENQUEUED] + overtaken < newest and 1 or 0
end
if #ids > 0 then flush() end
local first = call('ZRANGE', P .. 'wake', 0, 0, 'WITHSCORES')
return {NOW, first[2] and tonumber(first[2]) or false, found}
