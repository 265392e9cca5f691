--- Joins the terminal to a stream. @module xenkit.cli.terminal
local host = require "xenkit.core.host"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}
local LEAVE = "\29" -- Ctrl-]

--- Copies between standard input and output and `s` until either ends, or Ctrl-] is typed.
function M.join(world, s, interactive)
  local tty = interactive and host.is_tty(0)
  if tty then host.tty_raw(0, true) end
  local typing
  local left = false -- the user ended it
  if interactive then
    typing = task.spawn(function()
      local keys = stream.from_handle(world, 0)
      if not keys then return end
      while true do
        local text = keys:read()
        if not text then
          -- A pipe ended: what it asked for may still be answered.
          task.sleep(0.5)
          left = true
          break
        end
        local at = tty and text:find(LEAVE, 1, true)
        if at then
          s:write(text:sub(1, at - 1))
          left = true
          break
        end
        if not s:write(text) then break end
      end
      s:close()
    end)
  end
  while true do
    local text = s:read()
    if not text then break end
    if not (io.stdout:write(text) and io.stdout:flush()) then
      left = true -- nobody reads it any more
      break
    end
  end
  if tty then
    host.tty_raw(0, false)
    io.stdout:write("\n")
  end
  if not left then io.stderr:write("xenkit: the console ended\n") end
  if typing then typing:cancel() end
  return 0
end

return M
