--- A live page about the world it runs in: domains, load, queue, workers, events, and what the scaler decided and why.
--
--     GET /            the page        GET /api/state    what it shows, as JSON
--     GET /api/events  the same every half second, as server-sent events
--
-- It has no right to anything: domain 0 tells every domain who runs and what happened, the store lets everybody read
-- the figures that services publish (`data/load`, `data/queue/*`), and the scaler answers on its flow. What is not
-- there is left out. One task gathers; all readers get the same text.
local flow = require "xenkit.flow"
local http = require "xenkit.http"
local json = require "xenkit.json"
local rpc = require "xenkit.rpc"
local task = require "xenkit.task"

local EVERY = 0.5        -- seconds between two looks
local HISTORY = 240      -- looks kept for the charts: two minutes
local EVENTS, DECISIONS = 40, 25
local READERS = 64       -- pages that may listen at a time

local HEADERS = {
  ["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " ..
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ["X-Content-Type-Options"] = "nosniff",
  ["Referrer-Policy"] = "no-referrer",
}

-- A connection to another domain's flow that comes back by itself: `call` fails at once while there is none.
local Link = {}
Link.__index = Link

Link.__close = function(l) l.task:cancel() end

local function link(ctx, name)
  local l = setmetatable({}, Link)
  l.task = task.spawn(function()
    while true do
      if not l.client and ctx.store:read("/local/service/" .. name) then
        local s = flow.connect(ctx, name, 2)
        if s then l.client = rpc.client(s) end
      end
      task.sleep(1)
    end
  end)
  return l
end

function Link:call(method, params)
  local client = self.client
  if not client then return nil end
  local r, err, code = client:call(method, params or {}, 3)
  if r == nil and self.client == client and (code ~= "XK_EPERM" and code ~= "XK_ENOSYS") then
    self.client = nil
    client:close()
  end
  return r, err, code
end

-- The share of a processor that each domain has used since the last look.
local function shares(self, list, now)
  local seen = {}
  for _, d in ipairs(list) do
    local before = self.cpu[d.domid]
    d.share = before and now > before.time and math.max(0, (d.cpu - before.cpu) / (now - before.time)) or 0
    seen[d.domid] = { cpu = d.cpu, time = now }
    d.peers, d.ports, d.pid = nil, nil, nil
  end
  self.cpu = seen
end

local function web(self, list, now)
  local out = { instances = json.array(), rate = 0, in_flight = 0 }
  local seen = {}
  for _, d in ipairs(list) do
    if d.template == self.ctx.params.web and d.state == "running" then
      local text = self.ctx.store:read("/local/domain/" .. d.domid .. "/data/load") or ""
      local requests, in_flight, busy = text:match("^(%d+) (%d+) (%d+)$")
      local one = { name = d.name, domid = d.domid, draining = d.draining, rate = 0,
        busy = (tonumber(busy) or 0) / 1000, in_flight = tonumber(in_flight) or 0, requests = tonumber(requests) or 0 }
      -- The figures change only now and then, so the time between two changes is what counts.
      local before = self.load[d.domid]
      if before and before.text == text then
        one.rate = now - before.time < 1 and before.rate or 0
        seen[d.domid] = before
      else
        if before then one.rate = math.max(0, one.requests - before.requests) / (now - before.time) end
        seen[d.domid] = { text = text, requests = one.requests, time = now, rate = one.rate }
      end
      out.rate, out.in_flight = out.rate + one.rate, out.in_flight + one.in_flight
      out.instances[#out.instances + 1] = one
    end
  end
  self.load = seen
  return out
end

-- The figures of the queue domain, whatever it publishes.
local function queue(self)
  local s = self.ctx.store
  local domid = s:read("/local/service/queue")
  if not domid or not domid:match("^%d+$") then return nil end
  local base, out = "/local/domain/" .. domid .. "/data/queue", {}
  for _, name in ipairs(s:list(base) or {}) do
    local v = s:read(base .. "/" .. name)
    if v and v ~= "" then out[name] = tonumber(v) or v end
  end
  return next(out) and out or nil
end

local function workers(self, list)
  local out = json.array()
  for _, d in ipairs(list) do
    if d.template == self.ctx.params.worker and d.state == "running" then
      local base = "/local/domain/" .. d.domid .. "/data/worker/"
      out[#out + 1] = { name = d.name, domid = d.domid, share = d.share,
        jobs = tonumber((self.ctx.store:read(base .. "busy"))),
        done = tonumber((self.ctx.store:read(base .. "done"))) }
    end
  end
  return out
end

local function newest_first(list, most)
  local out = json.array()
  for i = #(list or {}), math.max(1, #(list or {}) - most + 1), -1 do out[#out + 1] = list[i] end
  return out
end

local UNFINISHED = { "waiting", "delayed", "ready", "leased" }

-- A point of the charts: time, web domains, requests a second, wanted, jobs that are not finished.
local function remember(self, state)
  local h, jobs = self.history, nil
  for _, name in ipairs(UNFINISHED) do
    local n = state.queue and tonumber(state.queue[name])
    if n then jobs = (jobs or 0) + n end
  end
  h[#h + 1] = { state.time, #state.web.instances, math.floor(state.web.rate + 0.5),
    state.scaler and state.scaler.wanted or json.null, jobs or json.null }
  if #h > HISTORY then table.remove(h, 1) end
  state.history = h
end

-- One look at the world. @return the state, or nil when domain 0 does not answer
local function look(self)
  local list = self.zero:call("list")
  if not list then return nil end
  local now = self.ctx.world:now()
  local info = self.zero:call("info") or {}
  local status = self.scaler:call("status")
  shares(self, list, now)
  local state = {
    time = self.ctx.world:wallclock(), every = EVERY, span = HISTORY * EVERY,
    world = { name = info.name, uptime = info.uptime, addresses = info.addresses },
    domains = list, web = web(self, list, now), queue = queue(self), workers = workers(self, list),
    events = newest_first(self.zero:call("events", { lines = EVENTS }), EVENTS),
    scaler = type(status) == "table" and status.wanted and status or nil,
    decisions = newest_first(self.scaler:call("decisions", { count = DECISIONS }), DECISIONS),
  }
  remember(self, state)
  return state
end

local function gather(self)
  while true do
    local ok, state = pcall(look, self)
    if not ok and state == task.cancelled then error(state, 0) end
    local text, err
    if ok and state then text, err = json.encode(state) else err = not ok and state end
    if text then
      self.text, self.seq = text, self.seq + 1
      for id in pairs(self.waiting) do task.wake(id) end
      self.waiting = {}
    elseif err then
      self.ctx.log("error", "cannot look: " .. tostring(err))
    end
    task.sleep(EVERY)
  end
end

-- Waits for a state newer than number `seq`. @return it, or nil when nothing came in time
local function next_text(self, seq)
  if self.seq == seq then
    local id = task.wait_id()
    self.waiting[id] = true
    local ok = task.wait(id, 5)
    self.waiting[id] = nil
    if not ok then return nil end
  end
  return self.text, self.seq
end

local function events(self)
  return function()
    if self.readers >= READERS then return 503, "too many readers\n", { ["Retry-After"] = "5" } end
    return 200, function(write)
      self.readers = self.readers + 1
      local _ <close> = setmetatable({}, { __close = function() self.readers = self.readers - 1 end })
      write("retry: 1000\n\n")
      local seq = 0
      while not self.ctx.stopping() do
        local text, n = next_text(self, seq)
        if text then
          seq = n
          write(http.event { data = text })
        else
          write(": nothing new\n\n")
        end
      end
    end, { ["Content-Type"] = "text/event-stream", ["Cache-Control"] = "no-store", ["X-Accel-Buffering"] = "no" }
  end
end

local server -- of the running start, for stop

return {
  summary = "Shows the world it runs in, live, as a web page.",
  params = {
    { "port", type = "integer", default = 8090, min = 0, max = 65535, help = "TCP port; 0 takes a free one" },
    { "address", default = "127.0.0.1", help = "address to listen on" },
    { "page", default = "scripts/services/dashboard", help = "folder of the page's files" },
    { "web", default = "www", help = "the domain whose load is shown" },
    { "worker", default = "worker", help = "the domain whose instances are the workers" },
  },
  needs = {
    tcp = { http = "$address:$port" },
    tree = { page = "$page" },
  },
  start = function(ctx)
    local zero <close> = link(ctx, "toolstack")
    local scaler <close> = link(ctx, "scaler")
    local self = { ctx = ctx, cpu = {}, load = {}, history = json.array(), waiting = {}, seq = 0, readers = 0,
      zero = zero, scaler = scaler }
    local _ <close> = task.spawn(gather, self)
    local handler = http.router {
      ["GET /api/state"] = function()
        local text = self.text or next_text(self, 0)
        if not text then return 503, "domain 0 does not answer\n" end
        return 200, text, { ["Content-Type"] = "application/json", ["Cache-Control"] = "no-store" }
      end,
      ["GET /api/events"] = events(self),
      ["GET /healthz"] = function() return 200, "ok\n", "text/plain" end,
      default = http.static(ctx.tree.page, { headers = { ["Cache-Control"] = "no-cache" } }),
    }
    server = http.server(ctx.tcp.http, handler, { headers = HEADERS, log = ctx.log, max_connections = 256 })
    assert(server:run())
  end,
  stop = function() if server then server:drain(0.5) end end,
}
