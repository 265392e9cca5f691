--- One console: takes what its domain writes, at the rate that it may have, and gives it to scrollback, log, readers
-- and triggers; passes on what the writer types.
--
-- A domain that floods is slowed by leaving its ring full: it waits, nothing is lost, others go on. A ring that makes
-- no sense ends this console alone.
-- @module xenkit.console.console
local bucket = require "xenkit.console.bucket"
local readers = require "xenkit.console.readers"
local scrollback = require "xenkit.console.scrollback"
local task = require "xenkit.task"

local M = {}
local Console = {}
Console.__index = Console
Console.__name = "xenkit.console"

local LINE_MAX = 4096
local TYPE_TIMEOUT = 5 -- seconds that a domain may leave its input ring full
local LAST_WORDS = 64 * 1024

--- A key for tables and files: the domain and, but for the first one, the console's number.
function M.key(domid, num) return num == 0 and tostring(domid) or domid .. "." .. num end

--- @param host the service: world, policy, pool, triggers (or nil), log_for(console) -> log, prefix; say(text)
-- @param d domid, num, name (of the domain), channel (its own name, or nil), stream; read_only; log_name, of its file,
--   if not by the domain; on_end(console) for the end of a stream that may end
function M.new(host, d)
  local world = host.world
  local settings = host.policy:of(d.name)
  local self = setmetatable({ host = host, domid = d.domid, num = d.num, name = d.name, channel = d.channel,
    read_only = d.read_only, on_end = d.on_end, log_name = d.log_name,
    key = M.key(d.domid, d.num), stream = d.stream, settings = settings,
    history = scrollback.new(settings.scrollback * 1024, host.pool),
    bucket = bucket.new(settings.rate, settings.burst, world:now()), line = "",
    since = world:wallclock(),
    stats = { out = 0, typed = 0, typed_lost = 0, throttled = 0, throttled_s = 0, held_s = 0 } }, Console)
  self.readers = readers.new(self.history)
  if settings.log and host.log_for then self.log, self.prefix = host.log_for(self) end
  return self
end

--- Its domain's name is known, or another, now: settings go by it.
function Console:rename(name)
  self.name = name
  self.settings = self.host.policy:of(name)
  self.history.limit = self.settings.scrollback * 1024
  self.bucket = bucket.new(self.settings.rate, self.settings.burst, self.host.world:now())
end

--- What it is called: "web", "web+1", "web+log"; the sign keeps it apart from a domain of that name.
function M.title(c)
  if c.num == 0 then return c.name end
  return c.name .. "+" .. (c.channel or c.num)
end
Console.title = M.title

local function trigger_lines(self, text)
  self.line = self.line .. text
  while true do
    local at = self.line:find("\n", 1, true)
    if not at and #self.line <= LINE_MAX then return end
    local line = self.line:sub(1, at and at - 1 or LINE_MAX)
    self.line = self.line:sub(#line + (at and 2 or 1))
    self.host.triggers:line(self, (line:gsub("\r+$", "")))
  end
end

--- Takes what the domain wrote.
function Console:output(text)
  self.stats.out = self.stats.out + #text
  self.history:add(text, self.host.world:wallclock())
  self.readers:more()
  if self.log then
    self.log:feed(self.key, text, self.prefix)
    self.host:dirty()
  end
  if self.host.triggers then trigger_lines(self, text) end
end

-- Waits until the domain may go on, and until those that must have all have taken it.
local function throttle(self)
  local world, stats = self.host.world, self.stats
  local delay = self.bucket:delay(world:now())
  if delay > 0 then
    stats.throttled = stats.throttled + 1
    stats.throttled_s = stats.throttled_s + delay
    task.sleep(delay)
  end
  stats.held_s = stats.held_s + self.readers:hold(function() return world:now() end)
end

local function serve(self)
  while true do
    throttle(self)
    local text, err, code = self.stream:read()
    if not text then return err, code end
    self.bucket:take(#text, self.host.world:now())
    self:output(text)
    task.yield() -- a domain that always has something must not keep others waiting
  end
end

--- Serves it in a task of its own, until `stop`.
function Console:start()
  self.task = task.detach(function()
    local fine, err, code = pcall(serve, self)
    if not fine and err == task.cancelled then error(err, 0) end
    if fine and not code and self.on_end then return self.on_end(self) end -- a bridge's flow came to its end
    self.broken = code == "XK_EPEER" and "its ring makes no sense" or tostring(err)
    self.host.say(("console of %s (%s) ended: %s"):format(self:title(), self.key, self.broken))
    if self.log then self.log:mark(self.key, "the console ended: " .. self.broken, self.prefix) end
    self.readers:finish()
    self.stream:close()
  end)
end

--- What a reader typed. @return true; nil, message, code when the domain does not take it
function Console:type(text)
  if self.ended or self.broken or self.read_only then
    return nil, "nobody reads what is typed here", "XK_EPIPE"
  end
  while self.typing do task.sleep(0.01) end -- two writers meet around a take-over
  self.typing = true
  local ok, err, code = self.stream:write(text, TYPE_TIMEOUT)
  self.typing = false
  if ok then
    self.stats.typed = self.stats.typed + #text
  else
    self.stats.typed_lost = self.stats.typed_lost + #text
  end
  return ok, err, code
end

--- What the domain wrote last is still in its ring.
function Console:last_words()
  if self.broken then return end
  local n = 0
  while n < LAST_WORDS do
    local text = self.stream.buf
    self.stream.buf = ""
    if text == "" then text = not self.stream.raw:closed() and self.stream.raw:read() end
    if not text then return end
    n = n + #text
    self:output(text)
  end
end

--- The domain has ended, or the console was taken away.
function Console:stop()
  if self.ended then return end
  self.ended = true
  self:last_words()
  if self.task and self.task ~= task.current() then self.task:cancel() end
  if self.host.triggers and self.line ~= "" then self.host.triggers:line(self, self.line) end
  if self.log then self.log:done(self.key, self.prefix) end
  self.readers:finish()
  self.stream:close()
end

--- As it is shown to tools.
function Console:info()
  local s = { domid = self.domid, console = self.num, name = self.name, channel = self.channel, ended = self.ended,
    broken = self.broken, since = self.since, scrollback = self.history.size, scrollback_lost = self.history.dropped,
    readers = self.readers.count, readers_lost = self.readers.lost, writer = self.readers.writer and
    self.readers.writer.who, escape = self.settings.escape, tty = self.tty, log = self.log and self.log.name,
    log_lost = self.log and self.log.lost_total + self.log.lost or nil }
  for key, value in pairs(self.stats) do s[key] = value end
  return s
end

return M
