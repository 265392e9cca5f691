--- Domain 0 of a hosted world: makes its store and console, then the domains of the world file, watches over them, and
-- does what tools and entitled domains ask.
-- @module xenkit.host.toolstack
local builder = require "xenkit.host.builder"
local core_stream = require "xenkit.core.stream"
local core_world = require "xenkit.core.world"
local devices = require "xenkit.host.devices"
local host = require "xenkit.core.host"
local store = require "xenkit.store"
local store_keeper = require "xenkit.host.store_keeper"
local task = require "xenkit.task"

local M = {}
local Toolstack = {}
Toolstack.__index = Toolstack
Toolstack.__name = "xenkit.toolstack"

local START_TIMEOUT = 20
local BACKOFF = { 0, 0.1, 0.5, 2, 5, 10, 30 }

--- @param opts dir = the world's runtime folder, source(name) -> text of a built-in service, log(level, text)
function M.new(world, program, opts)
  return setmetatable({ world = world, program = program, dir = opts.dir, source = opts.source, log = opts.log,
    name = opts.name, templates = {}, order = {}, domains = {}, by_name = {}, guests = {}, events = {}, programs = {},
    started = world:now() }, Toolstack)
end

function Toolstack:event(kind, name, text)
  local e = { time = self.world:wallclock(), kind = kind, name = name, text = text }
  self.events[#self.events + 1] = e
  if #self.events > 500 then table.remove(self.events, 1) end
  self.log("info", kind .. " " .. name .. (text and (": " .. text) or ""))
end

--- Declares a kind of domain, opening what it needs. Nothing runs yet.
function Toolstack:declare(d)
  if self.templates[d.name] then return nil, "there is a domain '" .. d.name .. "' already", "XK_EEXIST" end
  if not d.source then
    local text, err, code
    if d.service then
      text = self.source(d.service)
      if not text then return nil, "no built-in service '" .. d.service .. "'", "XK_ENOENT" end
    else
      text, err, code = require("xenkit.host.files").read(d.script)
      if not text then return nil, err, code end
    end
    d.source = text
  end
  local t, err, code = builder.template(d)
  if not t then return nil, err, code end
  t.instances, t.failures, t.pending = {}, 0, 0
  self.templates[d.name] = t
  self.order[#self.order + 1] = t
  return t
end

-- One of several instances has the lowest number that is free, so that names stay small and a restart keeps its own.
local function instance_name(self, t)
  if not t.desc.replicas and not t.desc.scale then return t.name end
  local n = 1
  while self.by_name[t.name .. "-" .. n] do n = n + 1 end
  return t.name .. "-" .. n
end

-- How many instances of a template run or start, beside those that are on their way out.
local function standing(t)
  local list = {}
  for _, d in pairs(t.instances) do if not d.draining and not d.destroyed then list[#list + 1] = d end end
  table.sort(list, function(a, b) return a.domid < b.domid end)
  return list
end

local function wire(self, domid)
  local w = self.world
  local store_port, err, code = host.evtchn_for(w, domid, self.store_domid)
  if not store_port then return nil, err, code end
  local console_port = -1
  if self.console_domid and self.console_domid ~= domid then
    console_port = host.evtchn_for(w, domid, self.console_domid) or -1
  end
  return store_port, console_port
end

local LABEL = { vbd = "disk", vif = "vif" }

-- Its disks and networks, each with the number of the domain that serves it.
local function place_devices(self, t)
  local list = {}
  for _, d in ipairs(t and t.devices or {}) do
    local back = self.by_name[d.back]
    if not back then
      return nil, ("%s '%s': no domain '%s' runs that could serve it; it has to stand before"):format(LABEL[d.kind],
        d.name, d.back), "XK_ENOENT"
    end
    d.back_domid = back.domid
    list[#list + 1] = d
  end
  return list
end

local function publish(self, domid, name, t, store_port, console_port, list)
  local ok, err, code = builder.write_nodes(self.store, domid, name, t, {
    template = t and t.name, console_port = console_port, devices = list,
    console_domid = console_port >= 0 and self.console_domid or nil,
  })
  if not ok then return nil, err, code end
  ok, err, code = host.built(self.world, domid, self.store_domid, store_port, self.console_domid or 0, console_port)
  if not ok then return nil, err, code end
  ok, err, code = self.store:introduce(domid, 1, store_port)
  if not ok and code == "XK_ENOENT" then return true end -- it has run and ended already
  return ok, err, code
end

--- Takes a template back that has no instances: what it opened is closed.
function Toolstack:undeclare(t)
  if next(t.instances) then return end
  builder.release(t.grant)
  self.templates[t.name] = nil
  for i, o in ipairs(self.order) do
    if o == t then table.remove(self.order, i) break end
  end
end

-- The program that most domains run is open from the beginning, another one from its first use on.
local function program_of(self, t)
  local name = t.grant.program
  if not name then return self.program end
  local err, code
  if not self.programs[name] then self.programs[name], err, code = builder.program(t.grant) end
  return self.programs[name], err, code
end

--- Starts one instance of a template. @return its record {domid, name, ...}
function Toolstack:create(t)
  local began = self.world:now()
  local name = instance_name(self, t)
  if self.by_name[name] then return nil, name .. " is running; --name chooses another name", "XK_EEXIST" end
  local list, err, code = place_devices(self, t)
  if not list then return nil, name .. ": " .. err, code end
  local domid, program
  program, err, code = program_of(self, t)
  if not program then return nil, name .. ": " .. err, code end
  domid, err, code = builder.create(self.world, program, t, { name = name })
  if not domid then return nil, err, code end
  local d = { domid = domid, name = name, template = t, created = began, restarts = 0 }
  self.domains[domid], self.by_name[name], t.instances[domid] = d, d, d
  local store_port, console_port = wire(self, domid)
  local ok
  if store_port then ok, err, code = publish(self, domid, name, t, store_port, console_port, list) end
  if not store_port or not ok then
    self:forget(d)
    self.world:domctl(domid, "destroy")
    return nil, name .. ": " .. tostring(err or console_port), code
  end
  d.create_ms = (self.world:now() - began) * 1000
  self.last_domid = domid
  self:event("create", name, ("domain %d in %.1f ms"):format(domid, d.create_ms))
  self:relink(d)
  return d
end

-- Connects a device with another back end. Whatever served it before has let go.
local function link(self, domid, device, back_domid)
  local list = {}
  local function put(path, value, perms)
    list[#list + 1] = { "write", path, value }
    if perms then list[#list + 1] = { "set_perms", path, perms } end
  end
  devices.nodes(put, domid, device, back_domid, true)
  local ok, err, code = self.store:transaction(function(tx) return tx:many(list) end)
  if ok then device.back_domid = back_domid end
  return ok, err, code
end

--- A domain that serves devices has come (again): those that are its own follow it.
function Toolstack:relink(back)
  for _, d in pairs(self.domains) do
    for _, device in ipairs(d.template and d.template.devices or {}) do
      if device.back == back.name and device.back_domid and device.back_domid ~= back.domid and d ~= back then
        local ok, err = link(self, d.domid, device, back.domid)
        self:event(LABEL[device.kind], d.name, ok and ("%s is served by %s (domain %d)"):format(device.name, back.name,
          back.domid) or device.name .. ": " .. tostring(err))
      end
    end
  end
end

local function find_device(d, name)
  for _, device in ipairs(d.template and d.template.devices or {}) do
    if device.name == name or device.dev == name then return device end
  end
  return nil, d.name .. " has no disk or vif '" .. tostring(name) .. "'", "XK_ENOENT"
end

--- Lets another domain serve a disk or a network. What is under way on a disk waits meanwhile, and is done there.
-- @param image what the new back end calls a disk's image; nil: as the one before
function Toolstack:move(key, name, back_key, image)
  local d, err, code = self:find(key)
  if not d then return nil, err, code end
  local back
  back, err, code = self:find(back_key)
  if not back then return nil, err, code end
  local device
  device, err, code = find_device(d, name)
  if not device then return nil, err, code end
  if device.back_domid == back.domid and not image then return true end
  local ok
  ok, err, code = devices.detach(self.store, d.domid, device, device.back_domid, function(closed)
    local deadline = self.world:now() + 10
    while not closed() do
      if self.world:now() > deadline then return nil end
      task.sleep(0.002)
    end
    return true
  end)
  if not ok then return nil, err, code end
  devices.clean(self.store, d.domid, device, device.back_domid)
  if device.kind == "vbd" then device.image = image or device.image end
  ok, err, code = link(self, d.domid, device, back.domid)
  if not ok then return nil, err, code end
  device.back = back.name
  self:event(LABEL[device.kind], d.name, ("%s moved to %s (domain %d)"):format(device.name, back.name, back.domid))
  return true
end

function Toolstack:forget(d)
  self.domains[d.domid] = nil
  if self.by_name[d.name] == d then self.by_name[d.name] = nil end
  if d.template then d.template.instances[d.domid] = nil end
end

local function clean_nodes(self, domid)
  self.store:rm("/local/domain/" .. domid)
  local d = self.domains[domid]
  for _, device in ipairs(d and d.template and d.template.devices or {}) do
    if device.back_domid then devices.clean(self.store, domid, device, device.back_domid) end
  end
  if self.console_domid then
    self.store:rm(("/local/domain/%d/backend/console/%d"):format(self.console_domid, domid))
  end
end

-- The store is the first domain, and domain 0's first port is for it: both must be known before either is there.
local STORE, DOM0_PORT = 1, 1

-- A process for the store: as a new domain, or for the domain whose last process has ended.
local function make_store(self, t, handles, first)
  local w = self.world
  local extra = { name = "store", store = false, dom0_port = DOM0_PORT, lasting = true, handles = handles }
  local ok, err, code
  if first then
    ok, err, code = builder.create(w, self.program, t, extra)
    if ok and ok ~= STORE then return nil, "the store is to be domain 1", "XK_EINVAL" end
    if ok then ok, err, code = host.evtchn_for(w, 0, STORE) end
    if ok and ok ~= DOM0_PORT then return nil, "domain 0's first port is not 1", "XK_EINVAL" end
  else
    ok, err, code = builder.renew(w, self.program, t, STORE, extra)
  end
  if not ok then return nil, err, code end
  w:domctl(STORE, "set_virq_handler", core_world.VIRQ_DOM_EXC)
  ok, err, code = host.built(w, 0, STORE, DOM0_PORT, 0, -1)
  if ok then ok, err, code = host.built(w, STORE, 0, -1, 0, -1) end
  return ok, err, code
end

local function keep_store(self, t, params)
  local w = self.world
  return store_keeper.new {
    world = w, dir = self.dir, forgets = params.journal == "",
    make = function(handles, first) return make_store(self, t, handles, first) end,
    pid = function() return w:domain(STORE).pid end,
    ended = function()
      local info = w:domain(STORE)
      return info and info.state == "shutdown" and info.pid == 0
    end,
    event = function(kind, text) self:event(kind, "store", text) end,
    updated = function() self:rewire_store_console() end,
  }
end

-- `params` of the store or the console, and what the world file's entry of that name, if any, says of them.
local function params_of(list, name, params)
  for _, d in ipairs(list) do
    for key, value in pairs(d.name == name and d.params or {}) do params[key] = value end
  end
  return params
end

--- The store and the console come first, and by hand: nobody else is there to introduce them.
local function start_store(self, list)
  for _, suffix in ipairs { ".a", ".b" } do os.remove(self.dir .. "/store.journal" .. suffix) end -- of another world
  local journal = self.dir .. "/store.journal"
  local params = params_of(list, "store", { journal = journal })
  params.socket = self.dir .. "/store.sock" -- where all tools look for it
  if params.journal ~= "" and params.journal ~= journal then
    return nil, "store: a world's journal is in the world's folder; journal = \"\" keeps none", "XK_EINVAL"
  end
  local t, err, code = self:declare { name = "store", service = "store", restart = "never", params = params }
  if not t then return nil, err, code end
  local w, domid = self.world, STORE
  local ok
  self.keeper = keep_store(self, t, params)
  ok, err, code = self.keeper:start()
  if not ok then return nil, err, code end
  self.store_domid = domid
  local d = { domid = domid, name = "store", template = t, created = w:now(), restarts = 0, vital = true }
  self.domains[domid], self.by_name.store, t.instances[domid] = d, d, d
  self.store, err, code = store.open(w)
  if not self.store then return nil, err, code end
  self.store.timeout = START_TIMEOUT
  ok, err, code = self.store:write("/tool/xenstored/domid", domid)
  if not ok then return nil, "the store does not come up: " .. tostring(err), code end
  self.store:write("/local/domain/0/name", "Domain-0")
  self.store:write("/local/domain/0/domid", 0)
  self.store:write("/local/service", "")
  builder.write_nodes(self.store, domid, "store", nil, { template = "store" })
  self:event("create", "store", "domain " .. domid)
  return true
end

--- The store has no console when its process starts: the console comes after the store. Now it gets one.
function Toolstack:rewire_store_console()
  local domid = self.console_domid
  if not domid then return end
  self.store:rm(("/local/domain/%d/backend/console/%d"):format(domid, self.store_domid))
  local port = host.evtchn_for(self.world, self.store_domid, domid)
  if port and host.built(self.world, self.store_domid, 0, -1, domid, port) then
    builder.write_nodes(self.store, self.store_domid, "store", nil, { template = "store", console_port = port,
      console_domid = domid })
  end
end

-- A process is not held up as a guest may be: its words are dropped when its console does not keep up, hence the higher
-- rate.
local function start_console(self, list)
  local params = params_of(list, "console", { logs = self.dir, combined = true, rate = 4 << 20, burst = 1 << 20 })
  local t, err, code = self:declare { name = "console", service = "console", restart = "never", params = params }
  if not t then return nil, err, code end
  local d
  d, err, code = self:create(t)
  if not d then return nil, err, code end
  d.vital = true
  self.console_domid = d.domid
  self:rewire_store_console()
  return self.store:write("/tool/xenconsoled/domid", d.domid)
end

--- Brings the world up: store, console, then all of `list` (domains of a world file).
function Toolstack:up(list)
  local ok, err, code = start_store(self, list)
  if ok then ok, err, code = start_console(self, list) end
  if not ok then return nil, err, code end
  for _, d in ipairs(list) do
    if d.name ~= "store" and d.name ~= "console" then
      local t
      t, err, code = self:declare(d)
      if not t then return nil, err, code end
      for _ = 1, d.scale and d.scale.min or d.replicas or 1 do
        local made
        made, err, code = self:create(t)
        if not made then return nil, err, code end
      end
    end
  end
  return true
end

-- The console reads what the domain wrote last, then says so; it is not waited for longer than a second.
local function drain_console(self, domid)
  if not self.console_domid or domid == self.console_domid or self.stopping then return end
  local back = ("/local/domain/%d/backend/console/%d/0"):format(self.console_domid, domid)
  if not self.store:write(back .. "/state", 5) then return end -- XenbusStateClosing
  for _ = 1, 100 do
    local state = self.store:read(back .. "/state")
    if state ~= "5" then return end
    task.sleep(0.01)
  end
end

-- A domain ended: restart it as its policy says.
local function ended(self, d, info)
  clean_nodes(self, d.domid)
  self:forget(d)
  local t = d.template
  local crashed = info.reason == "crash" or info.exit_code ~= 0
  self:event("end", d.name, crashed and ("crashed, exit code %d"):format(info.exit_code) or info.reason or "gone")
  if d.vital and not self.stopping then
    self.failed = d.name .. " ended; the world cannot go on without it"
    return
  end
  local policy = t and (t.desc.restart or "on-failure")
  self.last_exit = info.exit_code
  if t and t.ephemeral and not next(t.instances) then self:undeclare(t) end
  if self.stopping or d.destroyed or not t or policy == "never" or (policy == "on-failure"
    and not crashed) then return end
  if self.world:now() - d.created > 30 then t.failures = 0 end
  t.failures = t.failures + 1
  local delay = BACKOFF[math.min(t.failures, #BACKOFF)]
  t.pending = t.pending + 1
  task.detach(function()
    task.sleep(delay)
    t.pending = t.pending - 1
    if self.stopping or (t.wanted and #standing(t) >= t.wanted) then return end
    local again, err = self:create(t)
    if again then
      again.restarts = d.restarts + 1
    else
      self:event("error", d.name, "no restart: " .. tostring(err))
    end
  end)
end

-- A guest that joined by path: give it what every domain has.
local function adopt(self, info)
  local store_port, console_port = wire(self, info.domid)
  local ok, err
  if store_port then ok, err = publish(self, info.domid, info.name, nil, store_port, console_port) end
  if not ok then
    self:event("error", info.name, "cannot join: " .. tostring(err or console_port))
    self.world:domctl(info.domid, "destroy")
    return
  end
  self.guests[info.domid] = { domid = info.domid, name = info.name, created = self.world:now(), restarts = 0 }
  self:event("join", info.name, "domain " .. info.domid)
end

--- Looks at all domains once: who came, who ended.
function Toolstack:look()
  local seen = {}
  local after = 0
  while true do
    local info = self.world:domain_next(after)
    if not info then break end
    after = info.domid
    seen[info.domid] = true
    local d = self.domains[info.domid]
    if d and d.domid == self.store_domid and self.keeper.updating then
      seen[info.domid] = true -- its process changes
    elseif d and d.domid == self.store_domid and info.state == "shutdown" and info.pid == 0 and not self.stopping then
      local ok, err = self.keeper:crashed(info.exit_code)
      if not ok then
        self.store.timeout = 0.1 -- nothing may wait for it any more
        self.failed = ("store ended (%s); the world cannot go on without it"):format(tostring(err))
        return
      end
      d.restarts = d.restarts + 1
      task.detach(function() self:rewire_store_console() end)
    elseif d and info.state == "shutdown" and info.pid == 0 then
      if d.vital and not self.stopping then -- nothing may wait for it any more
        self.failed = d.name .. " ended; the world cannot go on without it"
        return
      end
      if not d.ending then
        d.ending = true
        task.detach(function()
          drain_console(self, d.domid)
          self.world:domctl(d.domid, "destroy")
          ended(self, d, info)
        end)
      end
    elseif not d and info.state == "building" and not self.guests[info.domid] then
      adopt(self, info)
    elseif not d and info.state == "shutdown" and self.guests[info.domid] then
      self.world:domctl(info.domid, "destroy")
    end
  end
  for domid, d in pairs(self.domains) do
    if not seen[domid] and not d.ending then ended(self, d, { reason = "destroyed", exit_code = 0 }) end
  end
  for domid, g in pairs(self.guests) do
    if not seen[domid] then
      clean_nodes(self, domid)
      self.guests[domid] = nil
      self:event("leave", g.name, "domain " .. domid)
    end
  end
end

--- Watches until the world stops or a vital domain ends.
function Toolstack:watch()
  local port = assert(self.world:bind_virq(core_world.VIRQ_TOOLSTACK))
  while not self.stopping and not self.failed do
    self:look()
    local id = task.wait_id()
    if not port:arm(id) then task.wait(id, 5) end
  end
  port:close()
end

--- Finds a running domain by name or number.
function Toolstack:find(key)
  local d = self.by_name[key] or self.domains[math.tointeger(tonumber(key) or -1)] or
    self.guests[math.tointeger(tonumber(key) or -1)]
  if d then return d end
  for _, g in pairs(self.guests) do if g.name == key then return g end end
  return nil, "no domain '" .. tostring(key) .. "'", "XK_ENOENT"
end

--- Everything about all domains, as `xenkit list --json` prints it.
function Toolstack:list()
  local list = {}
  local function add(info, d)
    list[#list + 1] = { domid = info.domid, name = d and d.name or info.name, state = info.state, pid = info.pid,
      cpu = info.cpu, memory = info.memory, ports = info.ports, peers = info.peers,
      template = d and d.template and d.template.name or nil, restarts = d and d.restarts or 0,
      uptime = d and self.world:now() - d.created or self.world:now() - self.started,
      created = d and d.created or self.started,
      create_ms = d and d.create_ms or nil,
      netns = d and d.template and d.template.grant and builder.netns(d.template.grant) or nil,
      draining = d and d.draining, guest = self.guests[info.domid] ~= nil or nil }
  end
  local zero = self.world:domain(0)
  if zero then add(zero) end
  local after = 0
  while true do
    local info = self.world:domain_next(after)
    if not info then break end
    after = info.domid
    add(info, self.domains[info.domid] or self.guests[info.domid])
  end
  return list
end

--- Asks a domain to end, and waits for it. @return true, or nil at the timeout
function Toolstack:shutdown(key, timeout, how)
  local d, err, code = self:find(key)
  if not d then return nil, err, code end
  if d.vital then return nil, d.name .. " cannot be shut down while the world runs; use `xenkit down`", "XK_EBUSY" end
  d.destroyed = how ~= "reboot"
  local ok
  ok, err, code = self.store:write("/local/domain/" .. d.domid .. "/control/shutdown", how or "poweroff")
  if not ok then return nil, err, code end
  local deadline = self.world:now() + (timeout or 10)
  while self.domains[d.domid] == d or self.guests[d.domid] == d do
    if self.world:now() > deadline then return nil, d.name .. " did not shut down in time", "XK_ETIMEDOUT" end
    task.sleep(0.01)
  end
  return true
end

function Toolstack:destroy(key)
  local d, err, code = self:find(key)
  if not d then return nil, err, code end
  if d.vital then return nil, d.name .. " cannot be destroyed while the world runs; use `xenkit down`", "XK_EBUSY" end
  d.destroyed = true
  local ok
  ok, err, code = self.world:domctl(d.domid, "destroy")
  if not ok then return nil, err, code end
  while self.domains[d.domid] == d or self.guests[d.domid] == d do task.sleep(0.005) end
  return true
end

function Toolstack:control(key, verb)
  local d, err, code = self:find(key)
  if not d then return nil, err, code end
  return self.world:domctl(d.domid, verb)
end

local function drain(self, d)
  d.draining, d.destroyed = true, true
  self:event("drain", d.name, "domain " .. d.domid)
  task.detach(function()
    if not self:shutdown(d.domid, 15) and self.domains[d.domid] == d then self:destroy(d.domid) end
  end)
end

--- Runs `count` instances of a scaled template from now on: more are created, superfluous ones drained, youngest first.
-- Calls for one template do their work one after another; the last one counts, also for restarts after a crash.
function Toolstack:scale(name, count)
  local t = self.templates[name]
  if not t or not t.desc.scale then return nil, "'" .. tostring(name) .. "' is not declared with scale", "XK_EINVAL" end
  t.wanted = math.max(t.desc.scale.min or 1, math.min(t.desc.scale.max or 8, count))
  while t.scaling do task.sleep(0.005) end
  t.scaling = true
  local ok, made, err, code = pcall(function()
    local running = standing(t)
    for _ = #running + t.pending + 1, t.wanted do -- those that wait to be restarted come by themselves
      local d, e, c = self:create(t)
      if not d then return nil, e, c end
    end
    for i = #running, t.wanted + 1, -1 do drain(self, running[i]) end
    return true
  end)
  t.scaling = nil
  if not ok then error(made, 0) end
  if not made then return nil, err, code end
  return t.wanted
end

--- The addresses of everything that listens, by "TEMPLATE.NAME".
function Toolstack:addresses()
  local list = {}
  for _, t in ipairs(self.order) do
    for _, need in ipairs(t.grant.list) do
      if need.bound then list[t.name .. "." .. need.name .. (need.kind == "udp" and ".udp" or "")] = need.bound end
    end
  end
  return list
end

--- Ends all domains: those of the world file first, by asking, then the rest.
function Toolstack:down()
  if self.stopping then return end
  self.stopping = true
  local left = {}
  for _, d in pairs(self.domains) do if not d.vital then left[#left + 1] = d end end
  local waits = {}
  for _, d in ipairs(left) do
    waits[#waits + 1] = task.spawn(function()
      if self.store:write("/local/domain/" .. d.domid .. "/control/shutdown", "poweroff") then
        local deadline = self.world:now() + 5
        while self.world:now() < deadline do
          local info = self.world:domain(d.domid)
          if not info or info.state == "shutdown" then break end
          task.sleep(0.01)
        end
      end
      self.world:domctl(d.domid, "destroy")
    end)
  end
  for _, t in ipairs(waits) do t:join() end
  for _, t in ipairs(self.order) do builder.release(t.grant) end
end

M.close_handle = core_stream.handle_close
return M
