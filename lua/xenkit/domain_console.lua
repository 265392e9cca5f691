--- Where a domain's words go: its console, or standard output where there is none.
-- @module xenkit.domain_console
local console = require "xenkit.core.console"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local CONSOLE_BACKLOG = 256 * 1024

-- Where there is no console lines go to standard output: in a process of a Linux domain on Xen, and, as the debug port,
-- in a stub domain without Xen below (the kernel alone in QEMU).
local function debug_sink()
  local say, line = print, ""
  return function(text)
    for part, newline in text:gmatch("([^\n]*)(\n?)") do
      line = line .. part
      if newline ~= "" then
        say(line)
        line = ""
      end
    end
  end
end

-- The console as a sink that never makes its writer wait: what does not fit in a bounded backlog is dropped, counted,
-- and the loss is said.
-- @return write(text), and flush(), which waits until all is out
function M.sink(ctx)
  local raw, con
  local pending, size, dropped, busy = {}, 0, 0, false
  -- The store's own console comes after the store: until there is one, words wait.
  local function open()
    raw = raw or console.front(ctx.world)
    con = con or (raw and stream.wrap(raw))
    ctx.console = con
    return con
  end
  -- Around a suspend: what hangs on the old port goes; the next words open the console anew.
  function ctx.console_reset()
    if con then con:close() end
    raw, con = nil, nil
  end
  if not open() and ctx.world:platform() ~= "hosted" then return debug_sink() end
  local function drain()
    busy = true
    while #pending > 0 do
      local text = table.concat(pending)
      pending, size = {}, 0
      if dropped > 0 then
        text = text .. string.format("[%d bytes were dropped here]\n", dropped)
        dropped = 0
      end
      if not con:write(text) then break end
    end
    busy = false
  end
  return function(text)
    if open() and not busy and #pending == 0 then
      local n = raw:write(text)
      if n == #text then return end
      if n then text = text:sub(n + 1) end
    end
    if size + #text > CONSOLE_BACKLOG then
      dropped = dropped + #text
      return
    end
    pending[#pending + 1] = text
    size = size + #text
    if not busy and con then
      busy = true
      task.detach(drain)
    end
  end, function() -- waits until all is out, for the end of a domain
    if not open() and #pending > 0 then -- nobody came to hear it
      io.stderr:write(table.concat(pending))
      pending = {}
    end
    for _ = 1, 100 do
      if not busy then return end
      task.sleep(0.01)
    end
  end
end

--- Makes print write there.
function M.redirect_print(write)
  _G.print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    write(table.concat(parts, "\t") .. "\n")
  end
end

return M
