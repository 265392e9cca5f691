--- `run --on xen --restart` of any service but the store's: starts the next process when one ended badly. What the
-- service serves stands in the store still, so that a disk's back end, say, takes its rings up where the last one was.
-- @module xenkit.cli.respawn
local client = require "xenkit.cli.client"
local core_stream = require "xenkit.core.stream"
local host = require "xenkit.core.host"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local PAUSES = { 0, 0.1, 0.5, 2, 5, 10, 30 } -- seconds before the next one, while they do not live
local LIVED = 1 -- seconds: then it had served, and the next one need not wait

local function say(text) io.stderr:write(os.date("%H:%M:%S "), text, "\n") end

-- Waits until the process has ended, or somebody ends us. @return exit code; nil: we are to end
local function wait(pid, pause)
  return client.run(function(world)
    local fd = host.signals()
    local _ <close> = assert(stream.from_handle(world, fd)) -- closed with the wait
    task.sleep(pause)
    while true do
      local code = pid and host.wait(pid)
      if code or not pid then return code or 0 end
      if host.signal_next(fd) then
        host.signal(pid, 15)
        return nil
      end
      task.sleep(0.02)
    end
  end)
end

--- @param start function() -> pid, {descriptors of ours that only it needed}, pid of its opener; or nil, message
-- @param fail function(message) -> exit code
-- @return exit code
function M.run(start, fail)
  local failures, openers = 0, {}
  while true do
    local began = os.time()
    for opener in pairs(openers) do -- each ends with its service
      if host.wait(opener) then openers[opener] = nil end
    end
    local pid, given, opener = start()
    if opener then openers[opener] = true end
    if not pid then return fail(given) end
    for _, fd in ipairs(given) do core_stream.handle_close(fd) end
    local code = wait(pid, 0)
    if not code or code == 0 then return 0 end
    failures = os.time() - began >= LIVED and 1 or math.min(failures + 1, #PAUSES)
    say(("restart: exit code %d%s"):format(code, PAUSES[failures] > 0 and (", in %g s"):format(PAUSES[failures]) or ""))
    if not wait(nil, PAUSES[failures]) then return 0 end
  end
end

return M
