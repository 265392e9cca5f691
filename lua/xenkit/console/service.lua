--- All consoles that one process serves: opens and closes them, keeps their logs and terminals, and those that have
-- ended for who asks late. Where the bytes come from - rings or a bridge - and who asks is not its matter.
-- @module xenkit.console.service
local console = require "xenkit.console.console"
local logfile = require "xenkit.console.logfile"
local scrollback = require "xenkit.console.scrollback"
local session = require "xenkit.console.session"
local task = require "xenkit.task"
local trigger = require "xenkit.console.trigger"
local tty = require "xenkit.console.tty"

local M = {}
local Service = {}
Service.__index = Service
Service.__name = "xenkit.console.service"

local ENDED_MAX = 64
local FLUSH = 0.5 -- seconds
local NAME_MAX = 100
local SESSIONS_MAX = 256

--- @param ctx a domain's context
-- @param opts policy; pool = bytes; logs = a folder or nil; combined = one file for all, console.log; log = options of
--   logfile; ttys = opener of terminals or nil; triggers = text, triggers_path
function M.new(ctx, opts)
  local self = setmetatable({ ctx = ctx, world = ctx.world, policy = opts.policy, opts = opts,
    pool = scrollback.pool(opts.pool), sessions = 0, sessions_refused = 0,
    consoles = {}, ended = {}, logs = {}, subscribers = {},
    started = ctx.world:now() }, Service)
  function self.say(text) self:note(text) end
  if opts.logs then function self.log_for(c) return self:open_log(c) end end
  if opts.triggers and opts.triggers ~= "" then
    local t, err, code = trigger.new(opts.triggers, opts.triggers_path, { say = self.say,
      write = function(path, value) self:write_node(path, value) end,
      mark = function(key, text) self:mark(key, text) end })
    if not t then return nil, err, code end
    self.triggers = t
  end
  return self
end

function Service:write_node(path, value)
  local ok, err = self.ctx.store:write(path, value)
  if not ok then self:note("a trigger cannot write " .. path .. ": " .. tostring(err)) end
end

-- --- logs -------------------------------------------------------------------------------------------------------

local function plain(name) return name:gsub("[^%w_.%-]", "_"):sub(1, NAME_MAX) end

local function file_name(c)
  local further = c.num > 0 and "+" .. plain(c.channel or tostring(c.num)) or ""
  return "guest-" .. plain(c.name) .. further .. ".log"
end

local function log_named(self, name, stamps)
  local log = self.logs[name]
  if not log then
    local o = self.opts.log
    log = logfile.new(self.opts.logs, name, { world = self.world, size = o.size, keep = o.keep, stamps = stamps })
    log.users = 0
    self.logs[name] = log
  end
  log.users = log.users + 1
  return log
end

--- The log of a console, and what stands before each line of it.
function Service:open_log(c)
  if self.opts.combined then return log_named(self, "console.log", "line"), ("[%s] "):format(c:title()) end
  return log_named(self, c.log_name or file_name(c), c.settings.stamps)
end

--- A line in a console's log, such as a trigger asks for.
function Service:mark(key, text)
  local c = self.consoles[key]
  if not c or not c.log then return end
  c.log:mark(c.key, text, c.prefix)
  self:dirty()
end

--- What the service itself has to say: nobody serves its own console, so it goes to the common log, too.
function Service:note(text)
  print(text)
  if self.opts.combined and self.opts.logs then
    self.own_log = self.own_log or log_named(self, "console.log", "line")
    self.own_log:mark("", text, "[console] ")
    self:dirty()
  end
end

function Service:flush()
  local names = {} -- writing may wait for the opener, and meanwhile there may be more logs
  for name in pairs(self.logs) do names[#names + 1] = name end
  for _, name in ipairs(names) do
    local log = self.logs[name]
    local ok, err = log:flush()
    if not ok and log.said ~= err then
      log.said = err
      self:note(("log %s: %s; what comes is counted until it can be written"):format(name, tostring(err)))
    elseif ok then
      log.said = nil
    end
    if log.users == 0 then
      log:close()
      self.logs[name] = nil
    end
  end
end

--- Writes logs, for ever: soon after something came, and now and then for what could not be written before.
function Service:run_logs()
  while true do
    if not self.unwritten then
      self.flusher = task.wait_id()
      task.wait(self.flusher, FLUSH)
      self.flusher = nil
    end
    self.unwritten = false
    self:flush()
    task.yield() -- what else is ready now comes along
  end
end

--- There is something for a log.
function Service:dirty()
  self.unwritten = true
  local id = self.flusher
  self.flusher = nil
  if id then task.wake(id) end
end

-- --- consoles ---------------------------------------------------------------------------------------------------

local function tell(self, event, c)
  for fn in pairs(self.subscribers) do fn(event, c) end
end

-- The terminal needs the opener, which takes a moment, in which output already flows.
local function start_tty(self, c, node)
  task.detach(function()
    local stop, err = tty.start(self.world, c, self.opts.ttys, function(path)
      local ok, e = self.ctx.store:write(node, path)
      if not ok then self:note(("%s: %s"):format(node, tostring(e))) end
    end)
    if not stop then return self:note(("no terminal for %s: %s"):format(c:title(), tostring(err))) end
    c.stop_tty = stop
    if c.ended then stop() end
  end)
end

--- Begins to serve a console. @param d domid, num, name, channel, stream, tty_node
function Service:open(d)
  local c = console.new(self, d)
  local before = self.consoles[c.key]
  if before then self:close(before) end
  self.consoles[c.key] = c
  c:start()
  if self.opts.ttys and d.tty_node and c.settings.tty then start_tty(self, c, d.tty_node) end
  tell(self, "open", c)
  return c
end

function Service:close(c)
  c:stop()
  if c.stop_tty then c.stop_tty() end
  if c.log then c.log.users = c.log.users - 1 end
  if self.consoles[c.key] == c then self.consoles[c.key] = nil end
  self.ended[#self.ended + 1] = c
  if #self.ended > ENDED_MAX then table.remove(self.ended, 1).history:free() end
  tell(self, "close", c)
end

--- Calls fn(event, console) when one opens ("open") or closes ("close"). @return a function that ends that
function Service:subscribe(fn)
  self.subscribers[fn] = true
  return function() self.subscribers[fn] = nil end
end

--- A console by domain and number or channel name, also one that has ended. @return it, and whether it is there
function Service:find(domid, num)
  local function is(c) return c.domid == domid and (c.num == num or c.channel == num) end
  for _, c in pairs(self.consoles) do if is(c) then return c, true end end
  for i = #self.ended, 1, -1 do if is(self.ended[i]) then return self.ended[i], false end end
end

--- Everything about all consoles, for tools.
function Service:list()
  local list = {}
  for _, c in pairs(self.consoles) do list[#list + 1] = c:info() end
  table.sort(list, function(a, b)
    if a.domid ~= b.domid then return a.domid < b.domid end
    return a.console < b.console
  end)
  return { consoles = list, ended = #self.ended, scrollback = self.pool.size, scrollback_limit = self.pool.limit,
    uptime = self.world:now() - self.started, triggers = self.triggers and self.triggers:stats() or nil,
    home = self.world:platform(), sessions = self.sessions, sessions_refused = self.sessions_refused }
end

--- Serves what a tool asks on stream `s`, in a task of its own.
function Service:session(s)
  if self.sessions >= SESSIONS_MAX then
    self.sessions_refused = self.sessions_refused + 1
    s:close()
    return self:note(("a tool was refused: %d are here already"):format(SESSIONS_MAX))
  end
  self.sessions = self.sessions + 1
  task.detach(function()
    local conn <close> = s
    local ok, err = pcall(session.serve, self, conn)
    self.sessions = self.sessions - 1
    if not ok and err ~= task.cancelled then self:note("a tool's session ended: " .. tostring(err)) end
  end)
end

--- Ends all, for the end of the process.
function Service:stop()
  for _, c in pairs(self.consoles) do c:last_words() end
  self:flush()
end

return M
