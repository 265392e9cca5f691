--- `run --on xen --restart`: a process in dom0 that keeps the store's: see xenkit.host.store_keeper.
-- @module xenkit.cli.keep
local client = require "xenkit.cli.client"
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local keeper = require "xenkit.host.store_keeper"
local task = require "xenkit.task"

local M = {}

local function say(kind, text) io.stderr:write(os.date("%H:%M:%S "), kind, " store: ", text, "\n") end

-- Ends with the process that it keeps on SIGINT and SIGTERM.
local function watch_signals(world, stop)
  local fd = host.signals()
  local stream = require "xenkit.stream"
  local s = fd and stream.from_handle(world, fd)
  while s do
    if host.signal_next(fd) then return stop() end
    task.sleep(0.1)
  end
end

--- @param program descriptor of the domain program
-- @param words its words
-- @param keep descriptors that every process gets
-- @return exit code
function M.run(program, words, keep)
  return client.run(function(world)
    local pid, exit_code, stopping
    local function ended()
      if not exit_code then exit_code = host.wait(pid) end
      return exit_code ~= nil
    end
    local k = keeper.new {
      world = world, dir = files.runtime_dir() .. "/xen",
      make = function(handles)
        local w, fds = table.move(words, 1, #words, 1, {}), table.move(keep, 1, #keep, 1, {})
        for _, h in ipairs(handles) do
          w[#w + 1] = h[1] .. "=" .. h[2]
          fds[#fds + 1] = h[2]
        end
        local id, err, code = host.spawn(program, w, fds)
        if not id then return nil, err, code end
        pid, exit_code = id, nil
        return true
      end,
      pid = function() return pid end,
      ended = ended,
      event = say,
      updated = function() end,
    }
    assert(host.mkdir(files.runtime_dir() .. "/xen"))
    local ok, err = k:start()
    if not ok then error(err, 0) end
    task.detach(watch_signals, world, function() stopping = true end)
    while true do
      task.sleep(0.02)
      if stopping and not ended() then host.signal(pid, 9) end
      if not k.updating and ended() then
        if stopping then return 0 end
        ok, err = k:crashed(exit_code)
        if not ok then
          say("error", err)
          return 1
        end
      end
    end
  end)
end

return M
