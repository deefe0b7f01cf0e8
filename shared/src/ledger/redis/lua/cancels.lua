-- Those of an owner's tasks that somebody asked to stop.

local owner, asked, cancels = ARGV[1], call('SMEMBERS', P .. 'cancels'), {}
load(asked)
for _, id in ipairs(asked) do
  local row = rows[id]
  if row and row[STATE] == RUNNING and has(row, CANCEL) and row[OWNER] == owner then cancels[#cancels + 1] = id end
end
return cancels
