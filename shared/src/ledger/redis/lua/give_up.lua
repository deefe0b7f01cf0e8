-- Gives leases back; those of others are left alone.

local owner = ARGV[1]
for at = 2, #ARGV do
  local lease = call('HGET', P .. 'leases', ARGV[at])
  if lease and sub(lease, 1, 16) == owner then call('HDEL', P .. 'leases', ARGV[at]) end
end
