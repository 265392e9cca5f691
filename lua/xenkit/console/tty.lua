--- A pseudo terminal for a console, whose name stands in the node `tty`: there stock `xl console` finds it.
--
-- Its user is a reader like others: it gets the end of the scrollback, then what comes, and becomes the writer by
-- typing. Users come and go one after another; when there is none the terminal is left alone.
-- @module xenkit.console.tty
local core = require "xenkit.core.console"
local task = require "xenkit.task"

local M = {}

local FIRST = 16 * 1024 -- bytes of the scrollback that a user gets
local LAST, LINGER = 0.5, 0.2 -- seconds

-- Writes `text`, as long as somebody is there.
local function show(raw, text)
  local at = 1
  while at <= #text do
    local n = raw:write(text, at)
    if n then
      at = at + n
    else
      if not core.attached(raw) then return false end
      local id = task.wait_id()
      raw:arm("w", id)
      task.wait(id)
      if raw:closed() then return false end
    end
  end
  return true
end

local function output(raw, reader)
  repeat local text = reader:next() until not text or not show(raw, text)
  reader.done = true
  if raw:closed() or not reader.reading then return end
  raw:disarm "r" -- nobody need type any more
  task.wake(reader.reading)
end

-- One user, from its coming to its leaving.
local function serve_user(console, raw)
  local reader, err = console.readers:add { who = "xl console", escape = console.settings.escape,
    place = console.history:recent(FIRST) }
  if not reader then
    show(raw, "[xenkit: " .. err .. "]\r\n")
    return
  end
  local out = task.spawn(output, raw, reader)
  local told
  while not reader.done and core.attached(raw) do
    local text = raw:read()
    if text then
      local mine, who = reader:claim(console.host.world:now())
      if mine then
        local ok, why = console:type(text)
        if not ok then reader:tell(why) end
      elseif told ~= who then
        told = who
        reader:tell(who .. " has the keyboard; you only look")
      end
    else
      reader.reading = task.wait_id()
      raw:arm("r", reader.reading)
      task.wait(reader.reading)
      reader.reading = nil
    end
  end
  reader:leave()
  out:cancel()
  pcall(out.join, out)
end

local function serve(console, raw)
  while not raw:closed() and not console.ended do
    if core.attached(raw) then
      serve_user(console, raw)
    else
      local id = task.wait_id()
      raw:arm("r", id)
      task.wait(id)
    end
  end
end

--- Makes one for `console` and serves it until the console ends.
-- @param opener with open() -> descriptor, path
-- @param publish function(path), which writes the node
-- @return a function that takes it away; nil, message, code
function M.start(world, console, opener, publish)
  local fd, path, code = opener:open()
  if not fd then return nil, path, code end
  local raw, err
  raw, err, code = core.pty(world, fd)
  if not raw then return nil, err, code end
  console.tty = path
  publish(path)
  local server = task.detach(serve, console, raw)
  return function()
    console.tty = nil
    task.detach(function() -- what was said last is to be shown, and read, before the terminal hangs up
      pcall(server.join, server, LAST)
      task.sleep(LINGER)
      server:cancel()
      raw:close()
    end)
  end
end

return M
