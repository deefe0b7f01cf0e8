-- Settles: for each settlement its numbers, and how many arguments of which kind follow: a note or error or result, and the
-- entries that come with it. Answers one string, two bytes a settlement.

local APPLIED, ALREADY, STALE = 0, 1, 2
local SETTLEMENT = '<c16i8c8Bi8BH'
local WITH_NOTE, WITH_ERROR, WITH_RESULT = 1, 2, 3

local ids, at = {}, 1
while at <= #ARGV do
  local with, low, high = byte(ARGV[at], -3, -1)
  ids[#ids + 1] = id_at(at)
  at = at + (with > 0 and 2 or 1)
  local entries = low + high * 256
  for _ = 1, entries do
    ids[#ids + 1] = id_at(at)
    at = at + 3
  end
end
load(ids)

-- Of the row that a settlement names.
local function settle(id, fence, token, kind, delay, with, what)
  local row = rows[id]
  if not row or row[FENCE] ~= fence or not has(row, CLAIMED) or row[TOKEN] ~= token then return STALE, 0 end
  -- Whatever ends a claim other than its own settle drops the token: one that is left was settled.
  if row[STATE] ~= RUNNING then return ALREADY, row[STATE] end
  apply(id, row, kind, delay, with == WITH_NOTE and what or nil, with == WITH_ERROR and what or nil,
    with == WITH_RESULT and what or nil, true)
  return APPLIED, row[STATE]
end

local answers = {}
at = 1
while at <= #ARGV do
  local settlement, what = ARGV[at]
  local id, fence, token, kind, delay, with, entries = unpack_bytes(SETTLEMENT, settlement)
  at = at + 1
  if with > 0 then
    what = ARGV[at]
    at = at + 1
  end
  local answer, state
  if kind == SUCCESS and succeed(id, sub(settlement, 17, 32)) then
    answer, state = APPLIED, SUCCEEDED
    if with == WITH_RESULT then keep_result(id, what) end
  else
    answer, state = settle(id, fence, token, kind, delay, with, what)
  end
  -- A verdict that a cancel overruled brings nothing after it.
  local stands = answer == APPLIED and (state ~= CANCELLED or kind == CANCEL_IT)
  for _ = 1, entries do
    if stands then add(at) end
    at = at + 3
  end
  answers[#answers + 1] = pack('BB', answer, state)
end

flush()
return table.concat(answers)
