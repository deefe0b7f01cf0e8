-- The story of a task's past runs: how many there were, then the newest of them as JSON, each behind its length, oldest first.

local MOST_RUNS, MOST_BYTES = 20, 65536

local function member_of(owner)
  if owner == NOBODY then return false end
  return call('HGET', P .. 'members', owner) or call('HGET', P .. 'lost', owner) or call('HGET', P .. 'left', owner)
end

-- A member's name, and what it says of itself; nothing of one that nobody knows.
local members = {}
local function introduce(owner)
  if members[owner] == nil then
    local member = member_of(owner)
    if member then
      local name, at = unpack_bytes('<Hc0', member, 34)
      members[owner] = {name, sub(member, at)}
    else
      members[owner] = false
    end
  end
  if members[owner] then return members[owner][1], members[owner][2] end
end

local function json(text)
  return text and cjson.encode(text) or 'null'
end

-- Numbers of this size are not exact in cjson.
local function number(value)
  return string.format('%.0f', value)
end

-- The run that a row tells of, which ends now. The error is JSON already.
local function past_run(row, became, note, error)
  return '{"started_at":' .. number(row[STARTED]) .. ',"ended_at":' .. number(NOW) .. ',"worker":'
    .. json((introduce(row[OWNER]))) .. ',"end":"' .. became .. '","error":' .. (error or 'null') .. ',"note":' .. json(note) .. '}'
end

local function kept_runs(story)
  local list, at = {}, 5
  while at <= #story do
    local length = unpack_bytes('<I4', story, at)
    list[#list + 1] = sub(story, at + 4, at + 3 + length)
    at = at + 4 + length
  end
  return list
end

-- Adds it to the story of its task, before the row is changed.
local function keep_run(id, row, became, note, error)
  local story = call('HGET', P .. 'runs', id)
  local ended = story and unpack_bytes('<I4', story) or 0
  local list = story and kept_runs(story) or {}
  list[#list + 1] = past_run(row, became, note, error)
  local from, bytes = #list, #list[#list]
  while from > 1 and #list - from + 1 < MOST_RUNS and bytes + #list[from - 1] <= MOST_BYTES do
    from = from - 1
    bytes = bytes + #list[from]
  end
  local parts = {pack('<I4', ended + 1)}
  for nth = from, #list do parts[#parts + 1] = pack('<I4', #list[nth]) .. list[nth] end
  stories[#stories + 1] = id
  stories[#stories + 1] = table.concat(parts)
end
