-- Makes a schedule as it stood in another ledger: its id, its numbers, its source and definition, then what became of its
-- instants, the oldest first, each with when that was. Answers whether it did, for there may be one of this id.

local id, rest = ARGV[1], ARGV[3]
if find(id) then return 0 end
local incarnation, revision, updated, cursor = unpack_bytes('<i8i8i8i8', ARGV[2])
call('HSET', P .. 'cursors', id, pack('<i8', cursor))
call('HSET', P .. 'schedules', id, pack('<i8i8i8', incarnation, revision, updated) .. rest)
-- The next one that is made must not get the same.
if number('incarnation') < incarnation then call('HSET', P .. 'number', 'incarnation', string.format('%.0f', incarnation)) end
raise('catalog_version')

-- Behind whatever is known of a former schedule of this id.
local stream = P .. 'occurrences:' .. id
local last = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local time, place = NOW, -1
if last then
  local its_time, its_place = string.match(last[1], '(%d+)-(%d+)')
  if tonumber(its_time) >= NOW then time, place = tonumber(its_time), tonumber(its_place) end
end
for at = 4, #ARGV do
  place = place + 1
  local fired = unpack_bytes('<i8', ARGV[at])
  if fired == 0 then fired = NOW end
  local record = sub(ARGV[at], 9)
  call('XADD', stream, string.format('%.0f-%d', time, place), 'o', pack('<i8i8', incarnation, fired) .. record)
  local _, _, until_at = unpack_bytes('<Bi8i8', record)
  call('ZADD', P .. 'streams', 'NX', until_at, id)
end
return 1
