-- Tasks that ended and are to run again.

-- Takes the key of a row that held one until it ended; answers who has it meanwhile.
local function take_again(id, row)
  if not has(row, KEYED) then return end
  local key = key_of(id)
  local hold = key and hold_of(key)
  local until_at = hold and unpack_bytes('<i8', hold, 17)
  if hold and (until_at == 0 or until_at > NOW) then return sub(hold, 1, 16) end
  if key then rehang(key, id .. NO_WINDOW) end
end
