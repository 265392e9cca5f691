--- Serves networks: back ends for all of a domain's `backend/vif`, as ports of one switch. A guest may send from its
-- own address only, unless its back end's node `strict` is 0; `vlan` is the number of its VLAN.
-- @module xenkit.vifs
local core = require "xenkit.core.net"
local net = require "xenkit.net"
local task = require "xenkit.task"
local watch = require("xenkit.core.block").watch -- of devices of any kind

local M = {}
local Vifs = {}
Vifs.__index = Vifs
Vifs.__name = "xenkit.vifs"

local VIFS_MAX = 250

--- @param opts log(level, text, fields), strict = false: guests may send from any address
function M.new(ctx, opts)
  local switch = assert(core.switch(ctx.world))
  return setmetatable({ ctx = ctx, switch = switch, log = opts.log or function() end, strict = opts.strict ~= false,
    served = {}, count = 0 }, Vifs)
end

--- A port for this program itself. @param conf address = "10.0.0.1/24" @return a network of xenkit.net
function Vifs:plug(mac, conf)
  local device, err, code = core.plug(self.ctx.world, self.switch, mac)
  if not device then return nil, err, code end
  return net.on(self.ctx.world, device, conf)
end

-- Once: what is written there is an event below the folder, which leads here again.
local function refuse(self, path, err, code)
  local text = ("%s %s"):format(code, err)
  if self.ctx.store:read(path .. "/error") == text then return end
  self.log("warning", ("network %s: %s"):format(path, err), { code = code })
  self.ctx.store:write(path .. "/error", text)
end

-- One that was unplugged for good: in a domain that is not the toolstack's, its folder is ours to take away, which the
-- toolstack waits for.
local function tidy(self, path)
  local store = self.ctx.store
  if self.ctx.domid == 0 or store:read(path .. "/online") ~= "0" then return end
  for _ = 1, 100 do
    local state = store:read(path .. "/state")
    if state == "6" then store:rm(path) end
    if not state or state == "6" then return end
    task.sleep(0.02)
  end
end

local function follow(self, path, back)
  local said
  while true do
    local state, err, code = back:state()
    if state == "gone" then return end
    if state ~= said then
      said = state
      self.log(code == "XK_EPEER" and "warning" or "info",
        ("network %s: %s"):format(path, state or code == "XK_EAGAIN" and "closed" or err))
      if not state then tidy(self, path) end
    else
      local id = task.wait_id()
      back:arm(id)
      task.wait(id)
    end
  end
end

local function serve(self, path)
  local store = self.ctx.store
  if not store:read(path .. "/frontend") then return end -- gone already, or not whole yet: its next event comes
  if self.count >= VIFS_MAX then
    return refuse(self, path, "there are " .. VIFS_MAX .. " networks already", "XK_ENOSPC")
  end
  local vlan, strict = tonumber(store:read(path .. "/vlan") or 0), store:read(path .. "/strict")
  if math.type(vlan) ~= "integer" or vlan < 0 or vlan > 4094 then
    return refuse(self, path, "a VLAN's number is 1 to 4094", "XK_EINVAL")
  end
  self.count = self.count + 1
  local _ <close> = setmetatable({}, { __close = function() self.count = self.count - 1 end })
  local back <close>, err, code = core.back(self.ctx.world, self.switch, store.raw, path,
    { vlan = vlan, strict = self.strict and strict ~= "0" })
  if back then
    self.served[path] = back
    follow(self, path, back)
  else
    refuse(self, path, err, code)
  end
end

--- Counters of all that are served: by their folders.
function Vifs:stats()
  local all = {}
  for path, back in pairs(self.served) do all[path] = back:stats() end
  return all
end

--- Serves for ever.
function Vifs:run()
  local busy = {}
  local w <close> = assert(watch(self.ctx.world, self.ctx.store.raw, "backend/vif", 2))
  while true do
    local id = task.wait_id()
    local path = w:next(id)
    if not path then
      task.wait(id)
    elseif busy[path] then
      busy[path] = "again" -- it may have gone and come again meanwhile
    else
      busy[path] = true
      task.spawn(function()
        repeat
          busy[path] = true
          local ok, err = pcall(serve, self, path)
          self.served[path] = nil
          if not ok then self.log("error", ("network %s: %s"):format(path, tostring(err))) end
        until busy[path] ~= "again"
        busy[path] = nil
      end)
    end
  end
end

return M
