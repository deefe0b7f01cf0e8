-- Holds unique keys as another ledger did: each its key, its task, and until when. Answers one byte each: 1 if it is held; zero
-- if somebody has it, or its time is over.

local answers = {}
for at = 1, #ARGV do
  local key, hold = sub(ARGV[at], 1, 16), sub(ARGV[at], 17)
  local known = hold_of(key)
  local until_at = known and unpack_bytes('<i8', known, 17)
  local is_held = known and (until_at == 0 or until_at > NOW)
  local is_free = not is_held and unpack_bytes('<i8', hold, 17) > NOW
  if is_free then rehang(key, hold) end
  answers[#answers + 1] = is_free and '\1' or '\0'
end
flush()
return table.concat(answers)
