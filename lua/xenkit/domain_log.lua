--- A domain's log: ctx.log. What is wanted goes to the console, into the ring of last words, and into the queue for the
-- log domain (`xenkit.log.sender` empties it); what is not wanted costs a comparison. See docs/log.md.
--
--     ctx.log("warning", "disk slow", { ms = 230 })
--     local net = ctx.log.source "net"
--     net.debug(function() return "frame " .. hex(frame) end)      -- the function runs only where debug is wanted
-- @module xenkit.domain_log
local level = require "xenkit.log.level"

local M = {}

local NUMBER, NAME = level.NUMBER, level.NAME
local PAGES = 4 -- of last words
local SOURCES = 64

-- --- where records go ----------------------------------------------------------------------------------------------

local Hub = {}
Hub.__index = Hub

-- Made at the first record or by the sender, so that a domain starts without it.
local function open(hub)
  hub.wire = require "xenkit.log.wire"
  hub.queue = require("xenkit.log.queue").new()
  hub.box = require("xenkit.core.blackbox").new(hub.world, PAGES)
  return hub.wire
end

--- Keeps a record, without the console.
function Hub:record(n, source, text, fields)
  if self.alone then return end -- nobody will ever come for it
  local wire, world = self.wire or open(self), self.world
  local seq = self.seq + 1
  self.seq = seq
  local bytes = wire.record(seq, world:now(), world:wallclock(), n, source, text, fields)
  if self.box then self.box:put(bytes) end
  if self.own then return self.own(bytes) end
  self.queue:push(seq, bytes)
  local wake = self.wake
  if wake then
    self.wake = nil
    require("xenkit.task").wake(wake)
  end
end

--- The ring, the queue and the number of the next record, for who sends them.
function Hub:parts()
  if not self.wire then open(self) end
  return self.box, self.queue
end

--- Keeps an error that ended a task or the domain: its first line is the text, where it came from a field.
function Hub:failure(text)
  local first, rest = text:match("^([^\n]*)\n?(.*)$")
  rest = rest:gsub("^stack traceback:%s*", ""):gsub("\n%s*", " < ")
  self:record(NUMBER.error, "", first, rest ~= "" and { traceback = rest } or nil)
end

--- An empty ring of last words in place of the present one, with `records` put into it.
function Hub:renew_box(records)
  if self.box then self.box:close() end
  self.box = require("xenkit.core.blackbox").new(self.world, PAGES)
  for _, bytes in ipairs(self.box and records or {}) do self.box:put(bytes) end
end

--- New rules: those of the domain, those of the world.
function Hub:set_rules(own, world)
  self.rules = { own, world }
  for source, logger in pairs(self.loggers) do logger.least = level.least(self.rules, source) end
end

-- --- ctx.log -------------------------------------------------------------------------------------------------------

local function console_line(n, source, text, fields)
  local parts = { NAME[n], ": ", source ~= "" and source .. ": " or "", text }
  if fields then
    local keys = {}
    for k in pairs(fields) do keys[#keys + 1] = tostring(k) end
    table.sort(keys)
    for _, k in ipairs(keys) do parts[#parts + 1] = " " .. k .. "=" .. tostring(fields[k]) end
  end
  parts[#parts + 1] = "\n"
  return table.concat(parts)
end

local function emit(hub, n, source, text, fields)
  if type(text) == "function" then text = text() end
  text = tostring(text)
  hub.write(console_line(n, source, text, fields))
  hub:record(n, source, text, fields)
end

local Logger = {}
Logger.__index = Logger
Logger.__name = "xenkit.log"
Logger.__call = function(self, name, text, fields)
  local n = NUMBER[name]
  if not n then error("log: no level '" .. tostring(name) .. "'", 2) end
  if n >= self.least then return emit(self.hub, n, self.name, text, fields) end
end

local function make_logger(hub, name)
  local self = setmetatable({ hub = hub, name = name, least = level.least(hub.rules, name) }, Logger)
  for word, n in pairs(NUMBER) do
    self[word] = function(text, fields)
      if n >= self.least then return emit(hub, n, name, text, fields) end
    end
  end
  function self.wants(word) return (NUMBER[word] or 0) >= self.least end
  function self.source(word)
    if not level.is_source(word) then
      error("log: a source has letters, digits, _, - and ., at most 40 of them, not '" .. tostring(word) .. "'", 2)
    end
    local l = hub.loggers[word]
    if not l then
      if hub.count >= SOURCES then return self end -- said as the source that asked
      hub.count = hub.count + 1
      l = make_logger(hub, word)
      hub.loggers[word] = l
    end
    return l
  end
  return self
end

--- The service's ctx.log(level, text, fields), with ctx.log.debug ... .error(text, fields), ctx.log.wants(level) and
-- ctx.log.source(name). @return it, and the hub behind it
function M.make(ctx, write)
  local hub = setmetatable({ world = ctx.world, write = write, seq = 0, rules = {}, loggers = {}, count = 1 }, Hub)
  local log = make_logger(hub, "")
  hub.loggers[""] = log
  return log, hub
end

--- Begins to send, where there is a way to the log domain; a log domain takes its own records itself.
function M.start(ctx, helpers)
  for _, offer in ipairs(ctx.service.offers or {}) do if offer == "log" then return end end
  if not ctx.store then
    ctx.log_hub.alone = true
    return
  end
  ctx.log_hub.running = true
  helpers[#helpers + 1] = require("xenkit.task").detach(function()
    require("xenkit.log.sender").run(ctx, ctx.log_hub)
  end)
end

--- At the domain's end: what waits is sent, unless that takes longer than half a second.
function M.finish(ctx)
  if ctx.log_hub.running then require("xenkit.log.sender").finish(ctx.log_hub, 0.5) end
end

return M
