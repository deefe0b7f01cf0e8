-- Whole records, for those who look.

-- Six parts: id and row, message, error, result, the member that runs or ran it, and its past runs.
local function record(id, row)
  return {id .. write(row), call('HGET', P .. 'body', id), call('HGET', P .. 'error', id), call('HGET', P .. 'result', id),
    member_of(row[OWNER]), call('HGET', P .. 'runs', id)}
end
