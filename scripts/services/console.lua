-- The console domain: serves the consoles of all domains. Output is kept in a bounded scrollback with a time stamp for
-- each line, and appended to a log file; tools attach as readers, or as a writer.
local core = require "xenkit.core.console"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local SCROLLBACK = 256 * 1024 -- bytes kept for each domain
local READER_BACKLOG = 64 * 1024
local LINE_MAX = 4096

local KEEP_ENDED = 64

local consoles = {} -- domid -> console
local ended = {}    -- the last consoles of domains that are gone, for who asks late

local function stamp(ctx) return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(ctx.world:wallclock())) .. "Z" end

-- A guest's control bytes do not reach the log file: anything but tab is shown as \xNN.
local function safe(line)
  return (line:gsub("[%c\127]", function(c) return c == "\t" and c or ("\\x%02x"):format(c:byte()) end))
end

-- What the console domain itself has to say goes to the log file as well: nobody serves its own console.
local function note(ctx, text)
  print(text)
  if ctx.file.log then ctx.log_lines[#ctx.log_lines + 1] = ("%s [console] %s\n"):format(stamp(ctx), safe(text)) end
end

local function log_line(ctx, c, line)
  if not ctx.file.log then return end
  ctx.log_lines[#ctx.log_lines + 1] = ("%s [%s] %s\n"):format(stamp(ctx), c.name, safe(line))
end

local function keep(c, text)
  c.history[#c.history + 1] = text
  c.size = c.size + #text
  while c.size > SCROLLBACK and #c.history > 1 do
    c.size = c.size - #table.remove(c.history, 1)
    c.dropped = c.dropped + 1
  end
end

-- A reader that does not keep up loses the middle, and is told; nobody else waits for it.
local function give(reader, text)
  if #reader.pending > READER_BACKLOG then
    reader.lost = reader.lost + #text
    return
  end
  reader.pending = reader.pending .. text
  if reader.wait then
    local id = reader.wait
    reader.wait = nil
    task.wake(id)
  end
end

local function output(ctx, c, text)
  keep(c, text)
  for reader in pairs(c.readers) do give(reader, text) end
  c.line = c.line .. text
  while true do
    local at = c.line:find("\n", 1, true)
    if not at then break end
    log_line(ctx, c, c.line:sub(1, at - 1):gsub("\r$", ""))
    c.line = c.line:sub(at + 1)
  end
  if #c.line > LINE_MAX then
    log_line(ctx, c, c.line)
    c.line = ""
  end
end

local function serve(ctx, domid, port, name)
  local raw, err = core.back(ctx.world, domid, port)
  if not raw then
    note(ctx, ("console of %s (%d): %s"):format(name, domid, tostring(err)))
    return nil
  end
  local c = { domid = domid, name = name, stream = stream.wrap(raw), readers = {}, history = {}, size = 0, dropped = 0,
    line = "" }
  consoles[domid] = c
  ctx.store:write(("backend/console/%d/0/state"):format(domid), 4)
  c.task = task.detach(function()
    while true do
      local text, e = c.stream:read()
      if not text then
        note(ctx, ("console of %s (%d) ended: %s"):format(name, domid, tostring(e)))
        return
      end
      output(ctx, c, text)
    end
  end)
end

-- What the domain wrote before it died is still in its ring.
local function last_words(ctx, c)
  while true do
    local text = c.stream.raw:read()
    if not text then break end
    output(ctx, c, text)
  end
end

local function retire(ctx, domid)
  local c = consoles[domid]
  if not c then return end
  last_words(ctx, c)
  if c.line ~= "" then log_line(ctx, c, c.line) end
  c.task:cancel()
  for reader in pairs(c.readers) do
    reader.ended = true
    give(reader, "")
  end
  c.stream:close()
  consoles[domid] = nil
  ended[#ended + 1] = c
  if #ended > KEEP_ENDED then table.remove(ended, 1) end
end

local function find(domid)
  if consoles[domid] then return consoles[domid] end
  for i = #ended, 1, -1 do if ended[i].domid == domid then return ended[i] end end
end

-- A tool attaches: scrollback first, then what comes; what it types goes to the domain.
local function attach(ctx, domid, handle, read_only)
  local s <close> = assert(stream.from_handle(ctx.world, handle))
  local c
  for _ = 1, 200 do -- a domain that was made a moment ago is on its way to us
    c = find(domid)
    if c then break end
    task.sleep(0.01)
  end
  if not c then
    s:write("no console of domain " .. domid .. "\n")
    return
  end
  local reader = { pending = table.concat(c.history), lost = 0, ended = consoles[domid] ~= c }
  c.readers[reader] = true
  local typing = task.spawn(function()
    while true do
      local text = s:read()
      if not text then break end
      if not read_only and not reader.ended then c.stream:write(text, 5) end
    end
    reader.ended = true
    give(reader, "")
  end)
  while true do
    local text = reader.pending
    reader.pending = ""
    if reader.lost > 0 then
      text = text .. ("\n[%d bytes were lost here: the reader was slow]\n"):format(reader.lost)
      reader.lost = 0
    end
    if text ~= "" and not s:write(text, 30) then break end
    if reader.ended and reader.pending == "" then break end
    if reader.pending == "" then
      reader.wait = task.wait_id()
      task.wait(reader.wait)
    end
  end
  c.readers[reader] = nil
  typing:cancel()
end

local function look(ctx)
  local base = "/local/domain/" .. ctx.domid .. "/backend/console"
  local here = {}
  for _, name in ipairs(ctx.store:list(base) or {}) do
    local domid = math.tointeger(tonumber(name))
    local node = base .. "/" .. name .. "/0"
    local port = domid and ctx.store:read(node .. "/port")
    if port then
      here[domid] = true
      if not consoles[domid] then
        serve(ctx, domid, math.tointeger(tonumber(port)), ctx.store:read(node .. "/name") or name)
      end
      if ctx.store:read(node .. "/state") == "5" then -- XenbusStateClosing: the domain has ended
        if consoles[domid] then last_words(ctx, consoles[domid]) end
        ctx.store:write(node .. "/state", 6)
      end
    end
  end
  for domid in pairs(consoles) do if not here[domid] then retire(ctx, domid) end end
end

return {
  summary = "Serves the consoles of all domains: scrollback, time stamps, readers.",
  params = { { "log", type = "path", default = "", help = "log file; empty: none" } },
  needs = { file = { log = { "$log", mode = "a" } } },
  start = function(ctx)
    ctx.log_lines = {}
    function ctx.on_handle(name, fd)
      local domid, ro = name:match("^attach:(%d+)(:?r?)$")
      if domid then
        task.detach(attach, ctx, math.tointeger(domid), fd, ro == ":r")
      else
        require("xenkit.core.stream").handle_close(fd)
      end
    end
    if ctx.file.log then
      local log = assert(stream.from_handle(ctx.world, ctx.file.log))
      task.spawn(function()
        while true do
          if #ctx.log_lines > 0 then
            local text = table.concat(ctx.log_lines)
            ctx.log_lines = {}
            log:write(text)
          end
          task.sleep(0.2)
        end
      end)
    end
    local w = assert(ctx.store:watch("backend/console"))
    for _ in w:events() do look(ctx) end
  end,
}
