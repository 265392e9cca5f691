--- The log domain's end of its senders: who is connected, up to where their records have come, their rings of last
-- words.
--
-- A domain is one sender; but on Linux under Xen several processes share a domain's number, and each counts for itself.
-- So there is an intake for each life of a sender, a few a domain, and the domain's counters are their sum.
-- @module xenkit.log.senders
local blackbox = require "xenkit.core.blackbox"
local intake = require "xenkit.log.intake"
local json = require "xenkit.json"
local task = require "xenkit.task"
local wire = require "xenkit.log.wire"

local M = {}
local Senders = {}
Senders.__index = Senders

local LIVES = 8 -- of one domain at a time
local IDLE = 256 -- domains that are remembered though nobody knows whether they still run

--- @param server with ctx, book, rules, opts {rate, burst}
function M.new(server)
  return setmetatable({ server = server, ctx = server.ctx, book = server.book, domains = {}, past = {},
    clock = function() return server.ctx.world:wallclock() end }, Senders)
end

-- --- domains and their lives ---------------------------------------------------------------------------------------

local function add_up(sum, s) for _, k in ipairs(intake.COUNTERS) do sum[k] = sum[k] + s[k] end end

local function no_counts()
  local sum = {}
  for _, k in ipairs(intake.COUNTERS) do sum[k] = 0 end
  return sum
end

local function domain_of(self, domid, name)
  local d = self.domains[domid]
  if not d then
    d = { log = self.book:log(domid, name), lives = {}, count = 0, ended = no_counts() }
    self.domains[domid] = d
  end
  return d
end

local function end_life(d, s)
  add_up(d.ended, s)
  d.lives[s.life], d.count = nil, d.count - 1
end

-- The intake of one life of a domain; nil when too many are connected.
local function life_of(self, d, life)
  local s = d.lives[life]
  if s then return s end
  if d.count >= LIVES then
    for _, other in pairs(d.lives) do if not other.link then end_life(d, other) break end end
    if d.count >= LIVES then return nil end
  end
  local opts = self.server.opts
  s = intake.new(self.book, d.log, self.clock, opts.rate, opts.burst)
  s.life = life
  d.lives[life], d.count = s, d.count + 1
  return s
end

-- The domain is gone: what it said and its counters stay for a while.
local function forget(self, d)
  self.domains[d.log.domid], self.past[d.log] = nil, d
  local old = self.book:close(d.log)
  if old then self.past[old] = nil end
end

local function is_idle(d)
  for _, s in pairs(d.lives) do if s.link then return false end end
  return true
end

local function is_gone(self, d)
  local store, home = self.ctx.store, "/local/domain/"
  return d.named and not store:read(home .. d.log.domid .. "/name") and
    store:read(home .. self.ctx.domid .. "/name") ~= nil -- the store is there
end

--- Looks now and then for domains that ended without good-bye, by their names in the store.
-- @param silent whether the ends of streams are not told by themselves, as to a Linux process on Xen
function Senders:sweep(seconds, silent)
  while true do
    task.sleep(seconds)
    local list, idle = {}, 0
    for domid, d in pairs(self.domains) do
      if is_idle(d) then idle = idle + 1 end
      if (silent or is_idle(d)) and domid ~= self.ctx.domid then list[#list + 1] = d end
    end
    table.sort(list, function(a, b) return a.log.domid < b.log.domid end)
    for _, d in ipairs(list) do
      local gone = is_gone(self, d)
      for _, s in pairs(d.lives) do if gone and s.link then s.link.stream:close() end end
      if (gone or idle > IDLE) and is_idle(d) and self.domains[d.log.domid] == d then
        forget(self, d)
        idle = idle - 1
      end
    end
  end
end

-- --- one connection ------------------------------------------------------------------------------------------------

-- Tells the sender its rules; when it is being told already, once more after that.
local function tell_rules(self, link)
  if link.telling then
    link.again = true
    return
  end
  link.telling = true
  task.detach(function()
    repeat
      link.again = false
      local words = { own = self.server.rules:of(link.domain.log.name), world = self.server.rules.world }
      if link.stream:closed() then break end -- a reader without the right, for one
      if not link.stream:write(wire.frame("L", json.encode(words)), 10) then link.stream:close() end
    until not link.again or link.stream:closed()
    link.telling = false
  end)
end

--- Tells all senders their rules. @return how many there are
function Senders:tell_all()
  local count = 0
  for _, d in pairs(self.domains) do
    for _, s in pairs(d.lives) do
      if s.link then
        tell_rules(self, s.link)
        count = count + 1
      end
    end
  end
  return count
end

local function ring_of(link) return link.box and link.box:records() or nil end

-- A later connection of the same life takes the place of the former one.
local function greet(self, link, body)
  local ok, m = pcall(json.decode, body)
  local following = ok and type(m) == "table" and math.tointeger(m.next)
  if not following or following < 1 or following >= wire.SEQ_MAX or type(m.life) ~= "string" then return nil end
  local domid = link.stream.peer
  local name = self.ctx.store:read("/local/domain/" .. domid .. "/name")
  local d = domain_of(self, domid, wire.safe(name or "domain-" .. domid):sub(1, 64))
  d.named = name ~= nil
  local s = life_of(self, d, m.life:sub(1, 32))
  if not s then return nil end
  if s.link then s.link.stream:close() end
  s.link, link.domain, link.intake = link, d, s
  local good, box = pcall(blackbox.map, self.ctx.world, domid, type(m.ring) == "table" and m.ring or {})
  link.box = good and box or nil
  s:hello(following, ring_of(link), math.tointeger(m.from))
  self.server.rules:adopt(d.log.name, m.rules)
  tell_rules(self, link)
  return true
end

local takes = {
  R = function(link, body) return link.intake:record(body) end,
  A = function(link, body)
    if #body ~= 8 then return nil end
    link.intake:reached((("<I8"):unpack(body)))
    return true
  end,
  B = function(link)
    link.bye = true
    return nil
  end,
}

-- Reads no faster than the domain's rate: who is faster fills its own queue, and loses there what does not fit.
local function receive(self, link, next_frame)
  local count = 0
  while true do
    local kind, body, more = next_frame()
    local take = takes[kind]
    if not take then link.gone = more == "XK_EGONE" end -- its whole domain: elsewhere it may come again
    if not take or not take(link, body) then return end
    count = count + 1
    if not more or count >= 64 then
      local wait = link.intake:pace(count, self.ctx.world:now())
      count = 0
      if wait > 0 then task.sleep(wait) elseif more then task.yield() end
    end
  end
end

-- The connection is over: what lies in the ring and never came over the vchan are last words.
local function part(self, link)
  local s, d = link.intake, link.domain
  if s.link == link then
    s.link = nil
    local found = s:ended(ring_of(link))
    if found > 0 and not link.bye then
      self.ctx.log("info", "read the last words of a domain",
        { domain = d.log.name, domid = d.log.domid, records = found })
    end
    if (link.bye or link.gone) and d.lives[s.life] == s then end_life(d, s) end
    if (link.bye or link.gone) and d.count == 0 and self.domains[d.log.domid] == d then forget(self, d) end
  end
  if link.box then link.box:close() end
end

--- Takes a sender's records until its stream ends. @param body of its first frame
function Senders:take(stream, next_frame, body)
  local link = { stream = stream }
  local ok, err = pcall(function() if greet(self, link, body) then receive(self, link, next_frame) end end)
  if link.intake then part(self, link) end
  if not ok then error(err, 0) end
end

--- A record of the log domain's own.
function Senders:own(bytes)
  local d = domain_of(self, self.ctx.domid, self.ctx.name)
  d.own = true
  life_of(self, d, "own"):record(bytes)
end

-- --- counters ------------------------------------------------------------------------------------------------------

local function stats_of(d, is_past)
  local log, sum = d.log, no_counts()
  add_up(sum, d.ended)
  for _, s in pairs(d.lives) do add_up(sum, s) end
  sum.domid, sum.name, sum.kept, sum.kept_bytes, sum.evicted = log.domid, log.name, log.records, log.bytes, log.evicted
  sum.logged, sum.connected, sum.ended = sum.received + sum.lost, d.own or not is_past and not is_idle(d),
    is_past
  return sum
end

--- A list of the counters of each domain, as `xenkit log --stats` shows them.
function Senders:stats()
  local list = json.array {}
  for _, d in pairs(self.domains) do list[#list + 1] = stats_of(d, false) end
  for _, d in pairs(self.past) do list[#list + 1] = stats_of(d, true) end
  table.sort(list, function(x, y) return x.domid < y.domid end)
  return list
end

return M
