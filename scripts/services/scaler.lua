--- Keeps the number of instances of one kind of domain right: measures, decides (`xenkit.scaling`), asks domain 0.
--
-- Domain 0's list says which instances run; each one's `data/load` in the store ("REQUESTS IN_FLIGHT BUSY", as
-- scripts/services/www.lua writes it) says how full it is. The scaler needs the right to the toolstack; without it, it
-- says so and looks on.
--
-- It publishes `data/scaler/wanted`, `running` and `reason`, and serves the flow "scaler": method `status` gives the
-- numbers of now, `decisions` the last 100 decisions, each with its reason. A decision that repeats the one before is
-- the same one, seen again: its `count` and `last` grow.
local flow = require "xenkit.flow"
local rpc = require "xenkit.rpc"
local scaling = require "xenkit.scaling"
local task = require "xenkit.task"

local KEEP = 100   -- decisions
local RETRY = 1    -- seconds before a refused or failed request is made again

local POLICY = { "min", "max", "target", "target_in_flight", "tolerance", "stable", "panic", "step_up", "step_down",
  "cooldown", "boot_limit" }

local function policy_of(params)
  local given = {}
  for _, k in ipairs(POLICY) do given[k] = params[k] end
  local p, err = scaling.policy(given)
  if not p then error(err, 0) end
  return p
end

-- The instances of the template that take part, from domain 0's list.
local function instances(list, template)
  local found = {}
  for _, d in ipairs(list) do
    if d.template == template and not d.draining and (d.state == "running" or d.state == "building") then
      found[#found + 1] = d
    end
  end
  return found
end

-- What the instances say of themselves. One without figures boots, unless it has had the time to.
local function measure(self, found, now)
  local sample = { now = now, running = 0, booting = 0, busy = {}, in_flight = 0, rate = 0 }
  local seen = {}
  for _, d in ipairs(found) do
    local text = d.state == "running" and self.ctx.store:read("/local/domain/" .. d.domid .. "/data/load")
    local requests, in_flight, busy = (text or ""):match("^(%d+) (%d+) (%d+)$")
    if not requests and d.uptime < self.policy.boot_limit then
      sample.booting = sample.booting + 1
    else
      sample.running = sample.running + 1
    end
    if requests then
      requests = tonumber(requests)
      local before = self.seen[d.domid]
      if before and now > before.time then
        sample.rate = sample.rate + math.max(0, requests - before.requests) / (now - before.time)
      end
      seen[d.domid] = { requests = requests, time = now }
      sample.busy[#sample.busy + 1] = tonumber(busy) / 1000
      sample.in_flight = sample.in_flight + tonumber(in_flight)
    end
  end
  self.seen = seen
  return sample
end

local function record(self, kind, wanted, reason, sample)
  local last = self.decisions[#self.decisions]
  local now = self.ctx.world:wallclock()
  if last and last.kind == kind and last.wanted == wanted and kind ~= "up" and kind ~= "down" then
    last.count, last.last, last.reason = last.count + 1, now, reason
    return
  end
  self.decisions[#self.decisions + 1] = { time = now, last = now, count = 1, kind = kind, wanted = wanted,
    running = sample.running, booting = sample.booting, reason = reason }
  if #self.decisions > KEEP then table.remove(self.decisions, 1) end
  if kind ~= "hold" then self.ctx.log("info", reason, { kind = kind, wanted = wanted }) end
end

-- What changed goes to the store; the reason of an unchanged number not more than once a second.
local function publish(self, values, now)
  local moved = values.wanted ~= self.published.wanted
  for name, v in pairs(values) do
    if self.published[name] ~= v and (name ~= "reason" or moved or now >= (self.next_reason or 0)) then
      if name == "reason" then self.next_reason = now + 1 end
      if self.ctx.store:write("data/scaler/" .. name, v) then self.published[name] = v end
    end
  end
end

local function ask(self, wanted, sample)
  if wanted == sample.running + sample.booting or sample.now < self.retry_at then return end
  -- A number that was asked for comes true when domain 0 sees fit: what crashes is restarted more and more slowly.
  if self.asked == wanted and sample.now < self.asked_at + RETRY then return end
  self.asked, self.asked_at = wanted, sample.now
  local ok, err, code = self.toolstack:call("scale", { name = self.ctx.params.template, count = wanted }, 30)
  if ok then return end
  self.retry_at = self.ctx.world:now() + RETRY
  local why = ("domain 0 does not scale to %d: %s (%s)"):format(wanted, tostring(err), tostring(code))
  record(self, "error", wanted, why, sample)
  if code == "XK_EPERM" then self.retry_at = math.huge end
end

local function round(self)
  local list, err = self.toolstack:call("list", {}, 10)
  if not list then return nil, err end
  local sample = measure(self, instances(list, self.ctx.params.template), self.ctx.world:now())
  local wanted, state, reason = scaling.decide(self.state, sample, self.policy)
  self.state = state
  record(self, state.kind, wanted, reason, sample)
  self.status = { template = self.ctx.params.template, wanted = wanted, running = sample.running,
    booting = sample.booting, rate = sample.rate, in_flight = sample.in_flight, busy = state.busy, load = state.load,
    kind = state.kind, reason = reason, min = self.policy.min, max = self.policy.max, target = self.policy.target }
  ask(self, wanted, sample)
  publish(self, { wanted = wanted, running = sample.running, reason = reason }, sample.now)
  return true
end

local function serve(self)
  local listener = assert(flow.listen(self.ctx, "scaler"))
  local methods = {
    status = function() return self.status or {} end,
    decisions = function(p)
      local n = math.tointeger(p.count) or KEEP
      local list = require "xenkit.json".array()
      for i = math.max(1, #self.decisions - n + 1), #self.decisions do list[#list + 1] = self.decisions[i] end
      return list
    end,
  }
  while true do
    local s = listener:accept()
    if not s then return end
    task.spawn(function()
      local c <close> = s
      rpc.serve(c, methods)
    end)
  end
end

local function control(self)
  while true do
    local stream, err = flow.connect(self.ctx, "toolstack", 10)
    if stream then
      local client <close> = rpc.client(stream)
      self.toolstack, self.retry_at = client, 0
      local ok = true
      while ok do
        ok, err = round(self)
        if ok then task.sleep(self.ctx.params.interval) end
      end
    end
    self.ctx.log("error", "no domain 0: " .. tostring(err))
    task.sleep(1)
  end
end

return {
  summary = "Keeps the number of instances of one kind of domain right for its load.",
  params = {
    { "template", default = "www", help = "the domain of the world file to scale" },
    { "interval", type = "number", default = 0.25, min = 0.05, max = 60, help = "seconds between two looks" },
    { "min", type = "integer", default = 1, min = 1, max = 1000, help = "never fewer" },
    { "max", type = "integer", default = 4, min = 1, max = 1000, help = "never more" },
    { "target", type = "number", default = 0.6, min = 0.01, max = 1, help = "busy share that is as it should be" },
    { "target_in_flight", type = "number", default = 0, min = 0, max = 1e6,
      help = "requests in flight of an instance that are as it should be; 0: do not look" },
    { "tolerance", type = "number", default = 0.1, min = 0, max = 0.9, help = "part by which the load may be off" },
    { "stable", type = "number", default = 10, min = 0.1, max = 3600, help = "the long window, seconds" },
    { "panic", type = "number", default = 1, min = 0, max = 3600, help = "the short window, seconds" },
    { "step_up", type = "integer", default = 2, min = 1, max = 1000, help = "at most so many more at a time" },
    { "step_down", type = "integer", default = 1, min = 1, max = 1000, help = "at most so many fewer at a time" },
    { "cooldown", type = "number", default = 5, min = 0, max = 3600, help = "seconds before scaling in" },
    { "boot_limit", type = "number", default = 5, min = 0, max = 3600, help = "seconds an instance may boot" },
  },
  needs = { rights = { "toolstack" } },
  offers = { "scaler" },
  start = function(ctx)
    local self = { ctx = ctx, policy = policy_of(ctx.params), decisions = {}, seen = {}, published = {}, retry_at = 0 }
    local _ <close> = task.spawn(serve, self)
    control(self)
  end,
}
