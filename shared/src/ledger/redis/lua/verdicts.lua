-- What each verdict makes of a row that runs.

local SUCCESS, RETRY, DEATH, CANCEL_IT, SNOOZE, RELEASE, CRASH, LAST_CRASH = 0, 1, 2, 3, 4, 5, 6, 7
local ENDS = {
  [RETRY] = 'retry', [DEATH] = 'dead', [CANCEL_IT] = 'cancelled', [SNOOZE] = 'snoozed', [RELEASE] = 'released',
  [CRASH] = 'crashed', [LAST_CRASH] = 'crashed',
}

local function cancelled(id, row, note, error, keep_token)
  if error then
    row[ATTEMPTS] = row[ATTEMPTS] + 1
    fail(id, row, error)
  end
  finish(id, row, CANCELLED, note, keep_token)
end

-- The process that ran it alone died.
local function crashed(id, row, again, delay, error, keep_token)
  row[CRASHES] = row[CRASHES] + 1
  fail(id, row, error)
  if has(row, CANCEL) then
    finish(id, row, CANCELLED, 'cancelled while it ran; its process died', keep_token)
  elseif again then
    move(id, row, NOW + delay, nil, keep_token)
  else
    finish(id, row, DEAD, nil, keep_token)
  end
end

local function apply(id, row, kind, delay, note, error, result, keep_token)
  if kind ~= SUCCESS then keep_run(id, row, has(row, CANCEL) and 'cancelled' or ENDS[kind], note, error) end
  if kind == SUCCESS then
    if result then keep_result(id, result) end
    finish(id, row, SUCCEEDED, nil, keep_token)
  elseif kind == CANCEL_IT then
    cancelled(id, row, note, nil, keep_token)
  elseif kind == CRASH or kind == LAST_CRASH then
    crashed(id, row, kind == CRASH, delay, error, keep_token)
  elseif has(row, CANCEL) then
    local failed = kind == RETRY or kind == DEATH
    note = failed and 'cancelled while it ran; the run failed' or 'cancelled while it ran'
    cancelled(id, row, note, failed and error or nil, keep_token)
  elseif kind == RETRY then
    row[ATTEMPTS] = row[ATTEMPTS] + 1
    fail(id, row, error)
    move(id, row, NOW + delay, nil, keep_token)
  elseif kind == DEATH then
    row[ATTEMPTS] = row[ATTEMPTS] + 1
    fail(id, row, error)
    finish(id, row, DEAD, nil, keep_token)
  elseif kind == SNOOZE then
    move(id, row, NOW + delay, 'snoozed', keep_token)
  else
    move(id, row, NOW, note, keep_token)
  end
end
