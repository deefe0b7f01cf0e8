-- Puts off the next look at entries: each as id, seq and for how long.

local ids = {}
for at = 1, #ARGV do ids[#ids + 1] = sub(ARGV[at], 1, 16) end
load(ids)
for at = 1, #ARGV do
  local id, seq, by = unpack_bytes('<c16i8i8', ARGV[at])
  local row = rows[id]
  if row and row[SEQ] == seq and row[STATE] <= QUEUED then
    touch(id)
    row[LOOKS] = math.min(row[LOOKS] + 1, 65535)
    wakes[id] = NOW + by
  end
end
flush()
