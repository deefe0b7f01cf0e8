-- Whole records, for those who look.

local function member_of(owner)
  if owner == NOBODY then return false end
  return call('HGET', P .. 'members', owner) or call('HGET', P .. 'lost', owner) or call('HGET', P .. 'left', owner)
end

-- Five parts: id and row, message, error, result, and the member that runs or ran it.
local function record(id, row)
  return {id .. write(row), call('HGET', P .. 'body', id), call('HGET', P .. 'error', id), call('HGET', P .. 'result', id),
    member_of(row[OWNER])}
end
