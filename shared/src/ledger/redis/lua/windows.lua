-- Unique keys that are held for a time, those that are over soonest first: behind which time and key, and how many. Answers
-- of each its key, its task, and until when.

local after, key, most = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local windows = P .. 'windows'
local rank = #key > 0 and call('ZRANK', windows, key)
-- One that is gone meanwhile: behind all of its time.
local from = rank and rank + 1 or call('ZCOUNT', windows, '-inf', string.format('%.0f', math.max(after, NOW)))
local found = call('ZRANGE', windows, string.format('%.0f', from), string.format('%.0f', from + most - 1))
local list = {}
for i, hold in ipairs(fetch(P .. 'holds', found)) do
  if hold then list[#list + 1] = found[i] .. hold end
end
return table.concat(list)
