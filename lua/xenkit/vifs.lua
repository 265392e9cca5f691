--- Serves networks: back ends for all of a domain's `backend/vif`, as ports of one switch. A guest may send from its
-- own address only, unless its back end's node `strict` is 0; `vlan` is the number of its VLAN.
-- @module xenkit.vifs
local backends = require "xenkit.backends"
local core = require "xenkit.core.net"
local net = require "xenkit.net"
local task = require "xenkit.task"

local M = {}
local Vifs = {}
Vifs.__index = Vifs
Vifs.__name = "xenkit.vifs"

local VIFS_MAX, UPLINK_ADDRESSES = 250, 1024
-- Pages that stay mapped, of all guests together: a stub domain has room for 4096 in all, and rings need theirs.
local KEPT_MAX = 2048

--- @param opts log(level, text, fields), strict = false: guests may send from any address; queues, keep: offered
-- to each, see `back` of xenkit.core.net
function M.new(ctx, opts)
  return setmetatable({ ctx = ctx, served = {}, switch = assert(core.switch(ctx.world)), strict = opts.strict ~= false,
    queues = opts.queues or 1, keep = opts.keep or 0, kept = 0,
    backends = backends.new(ctx, "vif", "network", VIFS_MAX, opts.log) }, Vifs)
end

--- A port for this program itself. @param conf address = "10.0.0.1/24" @return a network of xenkit.net
function Vifs:plug(mac, conf)
  local device, err, code = core.plug(self.ctx.world, self.switch, mac)
  if not device then return nil, err, code end
  return net.on(self.ctx.world, device, conf)
end

--- A way out: a device of xenkit.core.net becomes a port, behind which there may be many addresses. `told` is called
-- when it comes and goes. @return true; nil, message, code
function Vifs:join(device, told)
  local ok, err, code = core.join(self.switch, device, { addresses = UPLINK_ADDRESSES })
  if not ok then return nil, err, code end
  task.detach(function()
    while true do
      local state, why, what = device:state()
      told(state, why)
      if what == "XK_EGONE" or what == "XK_EPEER" then return end
      local id = task.wait_id()
      device:arm(id)
      task.wait(id)
    end
  end)
  return true
end

local function serve(self, path)
  local store = self.ctx.store
  if not store:read(path .. "/frontend") then return end -- gone already, or not whole yet: its next event comes
  local vlan, strict = tonumber(store:read(path .. "/vlan") or 0), store:read(path .. "/strict")
  if math.type(vlan) ~= "integer" or vlan < 0 or vlan > 4094 then
    return self.backends:refuse(path, "a VLAN's number is 1 to 4094", "XK_EINVAL")
  end
  local share = self.queues * self.keep -- none for who comes late, and copies work without
  if self.kept + share > KEPT_MAX then share = 0 end
  local back <close>, err, code = core.back(self.ctx.world, self.switch, store.raw, path,
    { vlan = vlan, strict = self.strict and strict ~= "0", queues = self.queues, keep = share // self.queues })
  if not back then return self.backends:refuse(path, err, code) end
  self.served[path] = back
  self.kept = self.kept + share
  self.backends:follow(path, back)
  self.kept = self.kept - share
  self.served[path] = nil
end

--- Writes what the guest of `backend/vif/DOMID/NUMBER` sends and gets to a stream, as pcapng, until either ends.
-- @param which "DOMID/NUMBER" @param snap so many bytes of each frame; 0: all
function Vifs:capture(which, snap, to)
  local back = self.served["backend/vif/" .. which]
  if not back then return nil, "this domain serves no network " .. which, "XK_ENOENT" end
  local c <close>, err, code = back:capture("vif" .. which:gsub("/", "."), snap)
  if not c then return nil, err, code end
  local ended = false
  local watch = task.spawn(function() -- the reader says nothing; it only ends
    repeat until not to:read()
    ended = true
    c:close()
  end)
  while not ended do
    local bytes, _, why = c:take()
    if bytes then
      if not to:write(bytes) then break end
    elseif why == "XK_EAGAIN" then
      local id = task.wait_id()
      c:arm(id)
      task.wait(id)
    else
      break
    end
  end
  watch:cancel()
  return true
end

--- Serves for ever.
function Vifs:run()
  self.backends:run(function(path) serve(self, path) end)
end

return M
