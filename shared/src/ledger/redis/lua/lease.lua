-- Takes or renews leases: the owner, then names and durations. Answers one byte each.

local owner, answers = ARGV[1], {}
for at = 2, #ARGV, 2 do
  local lease = call('HGET', P .. 'leases', ARGV[at])
  local holder, over
  if lease then holder, over = unpack_bytes('<c16i8', lease) end
  local free = not lease or holder == owner or over <= NOW
  if free then call('HSET', P .. 'leases', ARGV[at], pack('<c16i8', owner, NOW + tonumber(ARGV[at + 1]))) end
  answers[#answers + 1] = free and '\1' or '\0'
end
return table.concat(answers)
