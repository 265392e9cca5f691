--- Flows: a service with a name, and streams to it from any domain.
--
--     -- in one domain                              -- in another
--     local l = flow.listen(ctx, "queue")           local s = flow.connect(ctx, "queue")
--     while true do serve(l:accept()) end           s:write "..."
--
-- A flow is a vchan whose rendezvous goes through the store: a service owns `/local/service/NAME` (domain 0 makes it
-- when
-- the service's description names it) with the number of its domain; a client creates a node of its own below
-- `/local/domain/SERVER/data/flow/NAME/connect`, which any domain may do; the server sees whose node it is - the store
-- says, so it cannot be forged - makes the vchan for that domain, and answers below `.../accept/CLIENT-ID`.
-- @module xenkit.flow
local core = require "xenkit.core.vchan"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local Listener = {}
Listener.__index = Listener
Listener.__name = "xenkit.flow.listener"

local function base(domid, name) return "/local/domain/" .. domid .. "/data/flow/" .. name end

--- Offers a service under `name`. @param ctx a domain's context
-- @param opts ring = bytes each way (default 16384), private = true: not among the world's services, so that only who
--   knows the domain's number finds it
function M.listen(ctx, name, opts)
  local s, b = ctx.store, base(ctx.domid, name)
  s:rm(b)
  local ok, err, code = s:write(b .. "/connect", "")
  if not ok then return nil, err, code end
  -- Anyone may write here: create a request. Each request then belongs to who created it.
  ok, err, code = s:set_perms(b .. "/connect", { "b" .. ctx.domid })
  if not ok then return nil, err, code end
  s:set_perms(b, { "r" .. ctx.domid })
  s:write(b .. "/accept", "")
  s:set_perms(b .. "/accept", { "r" .. ctx.domid })
  local w
  w, err, code = s:watch(b .. "/connect")
  if not w then return nil, err, code end
  if not (opts and opts.private) then
    ok, err, code = s:write("/local/service/" .. name, tostring(ctx.domid))
    if not ok then return nil, err, code end
    s:set_perms("/local/service/" .. name, { "r" .. ctx.domid }) -- on Xen dom0 may have made it for nobody else to read
  end
  return setmetatable({ ctx = ctx, name = name, base = b, watch = w, ring = opts and opts.ring or 16384, seen = {} },
    Listener)
end

local function serve_request(self, key)
  local s = self.ctx.store
  local node = self.base .. "/connect/" .. key
  local perms = s:get_perms(node)
  local owner = perms and math.tointeger(tonumber((perms[1] or ""):match("^%a(%d+)$")))
  if not owner then return nil end
  local raw, ref, port = core.listen(self.ctx.world, owner, self.ring, self.ring)
  local answer = self.base .. "/accept/" .. key
  if not raw then
    s:write(answer, "error " .. tostring(ref))
  else
    s:write(answer, "")
    s:set_perms(answer, { "n" .. self.ctx.domid, "r" .. owner })
    s:write(answer, ref .. " " .. port)
  end
  if not raw then return nil end
  task.detach(function() -- the client has read it by then, or never will
    task.sleep(30)
    s:rm(answer)
  end)
  local st = stream.wrap(raw)
  st.peer = owner
  return st
end

--- The next client: a stream whose `peer` is the number of the client's domain.
function Listener:accept(timeout)
  while true do
    local path, err, code = self.watch:next(timeout)
    if not path then return nil, err, code end
    local key = path:match("/connect/([^/]+)$")
    if key and not self.seen[key] and self.ctx.store:read(path) then
      self.seen[key] = true
      local st = serve_request(self, key)
      self.ctx.store:rm(path)
      self.seen[key] = nil
      if st then return st end
    end
  end
end

function Listener:close()
  self.watch:close()
  self.ctx.store:rm(self.base)
end
Listener.__close = Listener.close

local function attempt(ctx, server, name, timeout)
  local s = ctx.store
  ctx.flow_count = (ctx.flow_count or 0) + 1
  local key = ctx.domid .. "-" .. ctx.flow_count .. "-" .. string.format("%x", math.random(0, 0x7fffffff))
  local b = base(server, name)
  local node = b .. "/connect/" .. key
  local ok, err, code
  if ctx.domid ~= 0 then
    ok, err, code = s:write(node, "")
  else -- what domain 0 creates belongs to the owner of the folder, so it says whose it is, in the same step
    ok, err, code = s:transaction(function(tx)
      return tx:many { { "write", node, "" }, { "set_perms", node, { "n0", "r" .. server } } }
    end)
  end
  if not ok then return nil, err, code end
  local where
  where, err, code = s:wait_for(b .. "/accept/" .. key, function()
    local v = s:read(b .. "/accept/" .. key)
    return v and v ~= "" and v
  end, timeout)
  if not where then
    s:rm(b .. "/connect/" .. key)
    return nil, err, code
  end
  if ctx.domid == 0 then s:rm(node) end -- which is domain 0's: by C xenstored's rules the server may not
  local ref, port = where:match("^(%d+) (%d+)$")
  if not ref then return nil, name .. ": " .. where, "XK_ECONNREFUSED" end
  local raw
  raw, err, code = core.connect(ctx.world, server, math.tointeger(ref), math.tointeger(port))
  if not raw then return nil, err, code end
  local st = stream.wrap(raw)
  st.peer = server
  return st
end

--- Connects to the flow `name` of the domain with number `domid`. @param timeout seconds, default 10
function M.connect_to(ctx, domid, name, timeout) return attempt(ctx, domid, name, timeout or 10) end

--- Connects to the service called `name`, waiting for it to appear. @param timeout seconds, default 10
function M.connect(ctx, name, timeout)
  local world = ctx.world
  local deadline = world:now() + (timeout or 10)
  local err, code = "no service of that name", "XK_ENOENT"
  while world:now() < deadline do
    local server = ctx.store:read("/local/service/" .. name)
    server = server and math.tointeger(tonumber(server))
    if server then
      local st, e, c = attempt(ctx, server, name, math.min(2, deadline - world:now()))
      if st then return st end
      err, code = e, c
    end
    task.sleep(0.05)
  end
  return nil, name .. ": " .. tostring(err), code
end

return M
