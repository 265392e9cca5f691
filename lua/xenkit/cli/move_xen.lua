--- `xenkit move --on xen`: lets another domain serve a device of a guest that xl made, while it is in use. What libxl
-- would write is written: the new back end's folder, the front end's link, libxl's own record of the device.
-- @module xenkit.cli.move_xen
local block = require "xenkit.block"
local task = require "xenkit.task"

local M = {}

local PATIENCE = 10
-- What a toolstack writes of a device, and so goes with it; all else is the back end's own.
local CARRIED = { "frontend", "frontend-id", "params", "mode", "dev", "device-type", "type", "bootable", "removable",
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

-- The old back end may have taken its folder away when it let go, so what it held was read before.
local function carry(s, old)
  local nodes = {}
  for _, key in ipairs(CARRIED) do nodes[key] = s:read(old .. "/" .. key) end
  return nodes
end

-- libxl lets only the domain that serves a device read what its front end says: that is another one now.
local function let_read(s, list, folder, perms)
  list[#list + 1] = { "set_perms", folder, perms }
  for _, name in ipairs(s:list(folder) or {}) do let_read(s, list, folder .. "/" .. name, perms) end
end

local function connect(s, front, path, nodes, domid, back)
  local list = { { "write", path, "" }, { "set_perms", path, { "n" .. back, "r" .. domid } } }
  local function put(key, value) list[#list + 1] = { "write", key, value } end
  for key, value in pairs(nodes) do put(path .. "/" .. key, value) end
  put(path .. "/online", "1")
  put(path .. "/state", "1")
  let_read(s, list, front, { "n" .. domid, "r" .. back })
  put(front .. "/backend-id", tostring(back))
  put(front .. "/backend", path)
  local record = front:gsub("^/local/domain/", "/libxl/")
  if s:read(record .. "/backend") then
    put(record .. "/backend", path)
    if s:read(record .. "/backend-id") then put(record .. "/backend-id", tostring(back)) end
  end
  return s:transaction(function(tx) return tx:many(list) end)
end

--- @param find function(store, name): its number, or nil
-- @return true; nil, message, code
function M.move(world, s, p, find)
  local domid, back = find(s, p.domain), find(s, p.back)
  if not domid then return nil, "no domain '" .. p.domain .. "'", "XK_ENOENT" end
  if not back then return nil, "no domain '" .. p.back .. "'", "XK_ENOENT" end
  local kind, number, code = device_of(p.device)
  if not kind then return nil, number, code end
  local front = ("/local/domain/%d/device/%s/%d"):format(domid, kind, number)
  local old = s:read(front .. "/backend")
  if not old then return nil, p.domain .. " has no " .. p.device, "XK_ENOENT" end
  local path = ("/local/domain/%d/backend/%s/%d/%d"):format(back, kind, domid, number)
  if old == path and not p.image then return true end
  if s:read(front .. "/feature-xenkit-move") ~= "1" then
    return nil, ("the front end of %s in %s cannot follow: it is not one of xenkit's (Linux' connects anew only " ..
      "after a suspend)"):format(p.device, p.domain), "XK_ENOSYS"
  end
  local nodes = carry(s, old)
  if p.image and kind == "vbd" then nodes.params = p.image end
  local ok, err
  ok, err, code = let_go(world, s, old)
  if not ok then return nil, err, code end
  s:rm(old)
  local parent = old:match "^(.*)/%d+$"
  if #(s:list(parent) or { true }) == 0 then s:rm(parent) end -- as libxl does
  ok, err, code = connect(s, front, path, nodes, domid, back)
  if not ok then return nil, err, code end
  if not wait_for(world, function()
    return s:read(path .. "/state") == "4" and s:read(front .. "/state") == "4"
  end) then
    return nil, ("%s does not connect with it: %s"):format(p.back, s:read(path .. "/error") or "it says nothing"),
      "XK_ETIMEDOUT"
  end
  return true
end

return M
