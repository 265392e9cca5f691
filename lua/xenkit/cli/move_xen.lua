--- `xenkit move --on xen`: lets another domain serve a device of a guest that xl made, while it is in use. What libxl
-- would write is written: the new back end's folder, the front end's link, libxl's own record of the device.
-- @module xenkit.cli.move_xen
local block = require "xenkit.block"
local task = require "xenkit.task"

local M = {}

local PATIENCE = 10
-- What a toolstack writes of a device, and so goes with it; all else is the back end's own.
local CARRIED = { "params", "script", "mode", "dev", "device-type", "type", "bootable", "removable",
  "discard-enable", "handle", "mac", "mtu", "ip", "vlan", "strict" }

-- "xvda" is device/vbd/51712, "vif0" device/vif/0.
local function device_of(name)
  local vif = name:match "^vif(%d+)$"
  if vif then return "vif", tonumber(vif) end
  local number, err, code = block.number_of(name)
  if not number then return nil, err .. ", nor vif0 or so", code end
  return "vbd", number
end

local function wait_for(world, fn)
  local deadline = world:now() + PATIENCE
  while not fn() do
    if world:now() > deadline then return nil end
    task.sleep(0.02)
  end
  return true
end

local function let_go(world, s, old)
  if not s:read(old .. "/state") then return true end -- its domain has died
  s:write(old .. "/online", "0")
  s:write(old .. "/state", "5")
  if not wait_for(world, function() return (s:read(old .. "/state") or "6") == "6" end) then
    return nil, "the back end in " .. old .. " does not let go of it", "XK_ETIMEDOUT"
  end
  return true
end

-- Which back end serves the device, as libxl itself noted it: what the guest's own folder says is the guest's to write.
local function served_by(s, domid, kind, number)
  local noted = s:read(("/libxl/%d/device/%s/%d/backend"):format(domid, kind, number))
  if not noted then return nil end
  local back, owner, n = noted:match("^/local/domain/(%d+)/backend/" .. kind .. "/(%d+)/(%d+)$")
  if not back or tonumber(owner) ~= domid or tonumber(n) ~= number then return nil end
  return noted
end

-- The old back end may take its folder away when it lets go, so what it holds is read before.
local function carry(s, old)
  local nodes = {}
  for _, key in ipairs(CARRIED) do nodes[key] = s:read(old .. "/" .. key) end
  return nodes
end

-- libxl lets only the domain that serves a device read what its front end says: that is another one now.
local function let_read(tx, list, folder, perms)
  list[#list + 1] = { "set_perms", folder, perms }
  for _, name in ipairs(tx:list(folder) or {}) do let_read(tx, list, folder .. "/" .. name, perms) end
end

-- All at once, or nothing: the old folder goes, the new one comes, and the links lead there.
local function connect(s, d, old, path, nodes, back)
  return s:transaction(function(tx)
    local list = { { "rm", old }, { "write", path, "" }, { "set_perms", path, { "n" .. back, "r" .. d.domid } } }
    local function put(key, value) list[#list + 1] = { "write", key, value } end
    for key, value in pairs(nodes) do put(path .. "/" .. key, value) end
    put(path .. "/frontend", d.front)
    put(path .. "/frontend-id", tostring(d.domid))
    put(path .. "/online", "1")
    put(path .. "/state", "1")
    let_read(tx, list, d.front, { "n" .. d.domid, "r" .. back })
    put(d.front .. "/backend-id", tostring(back))
    put(d.front .. "/backend", path)
    local record = ("/libxl/%d/device/%s/%d"):format(d.domid, d.kind, d.number)
    put(record .. "/backend", path)
    if tx:read(record .. "/backend-id") then put(record .. "/backend-id", tostring(back)) end
    return tx:many(list)
  end)
end

-- As libxl does: an empty folder of a domain's devices goes, too.
local function tidy(s, old)
  local parent = old:match "^(.*)/%d+$"
  if #(s:list(parent) or { true }) == 0 then s:rm(parent) end
end

--- @param find function(store, name): its number, or nil
-- @return true; nil, message, code
function M.move(world, s, p, find)
  local domid, back = find(s, p.domain), find(s, p.back)
  if not domid then return nil, "no domain '" .. p.domain .. "'", "XK_ENOENT" end
  if not back then return nil, "no domain '" .. p.back .. "'", "XK_ENOENT" end
  local kind, number, code = device_of(p.device)
  if not kind then return nil, number, code end
  local d = { domid = domid, kind = kind, number = number,
    front = ("/local/domain/%d/device/%s/%d"):format(domid, kind, number) }
  local old = served_by(s, domid, kind, number)
  if not old then return nil, p.domain .. " has no " .. p.device, "XK_ENOENT" end
  local path = ("/local/domain/%d/backend/%s/%d/%d"):format(back, kind, domid, number)
  if old == path and not p.image then return true end
  if s:read(d.front .. "/feature-xenkit-move") ~= "1" then
    return nil, ("the front end of %s in %s cannot follow: it is not one of xenkit's (Linux' connects anew only " ..
      "after a suspend)"):format(p.device, p.domain), "XK_ENOSYS"
  end
  local nodes = carry(s, old)
  if p.image and kind == "vbd" then nodes.params = p.image end
  local ok, err
  ok, err, code = let_go(world, s, old)
  if not ok then return nil, err, code end
  ok, err, code = connect(s, d, old, path, nodes, back)
  if not ok then return nil, err, code end
  if old ~= path then tidy(s, old) end
  if not wait_for(world, function()
    return s:read(path .. "/state") == "4" and s:read(d.front .. "/state") == "4"
  end) then
    return nil, ("%s does not connect with it: %s"):format(p.back, s:read(path .. "/error") or "it says nothing"),
      "XK_ETIMEDOUT"
  end
  return true
end

return M
