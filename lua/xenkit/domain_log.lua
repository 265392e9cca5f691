--- A domain's log records: to its console, and to the log domain where the world has one.
-- @module xenkit.domain_log
local task = require "xenkit.task"

local M = {}

local LEVELS = { debug = 1, info = 2, warning = 3, error = 4 }

--- The service's ctx.log(level, text, fields): it writes to the console and, by ctx.log_hook, to the log domain.
function M.make(ctx, write)
  return function(level, text, fields)
    if not LEVELS[level] then error("log: no level '" .. tostring(level) .. "'", 2) end
    local parts = { level, ": ", tostring(text) }
    if fields then
      local keys = {}
      for k in pairs(fields) do keys[#keys + 1] = tostring(k) end
      table.sort(keys)
      for _, k in ipairs(keys) do parts[#parts + 1] = " " .. k .. "=" .. tostring(fields[k]) end
    end
    write(table.concat(parts) .. "\n")
    if ctx.log_hook then ctx.log_hook(level, text, fields) end
  end
end

-- Sends records to the log domain, if the world has one. Until it is reached, and when it is slow, a bounded number
-- waits; what does not fit is counted, and the loss is told.
local LOG_QUEUE = 1000

function M.sender(ctx)
  local queue, lost, wake = {}, 0, nil
  function ctx.log_hook(level, text, fields)
    if #queue >= LOG_QUEUE then
      lost = lost + 1
      return
    end
    queue[#queue + 1] = { level = level, text = tostring(text), fields = fields }
    if wake then
      local id = wake
      wake = nil
      task.wake(id)
    end
  end
  local flow, rpc = require "xenkit.flow", require "xenkit.rpc"
  while true do
    if #queue == 0 then
      wake = task.wait_id()
      task.wait(wake)
    end
    local s = ctx.store:read("/local/service/log") and flow.connect(ctx, "log", 5)
    while s do
      if lost > 0 and rpc.send(s, { lost = lost }, 10) then lost = 0 end
      local r = table.remove(queue, 1)
      if r and not rpc.send(s, r, 10) then
        table.insert(queue, 1, r)
        s:close()
        s = nil
      elseif not r then
        wake = task.wait_id()
        task.wait(wake)
      end
    end
    task.sleep(1)
  end
end

return M
