--- Disks of a hosted world's domains: where each half lives, and the nodes that say so, as libxl writes them.
--
--     { name = "db", script = "db.lua", disks = { data = { image = "data.img", back = "disks" } } }
--
-- `back` names the domain that serves the disk; it may be another one later (Toolstack:move), and when it is restarted
-- under another number the disks follow it.
-- @module xenkit.host.devices
local block = require "xenkit.block"

local M = {}

local KEYS = { image = "string", back = "string", mode = "string", dev = "string" }

--- Checks the `disks` of a domain of a world file. @return true, or nil, message, the key that is wrong
function M.check(disks)
  local taken = {}
  for name, d in pairs(disks) do
    if type(name) ~= "string" or not name:match "^[%a_][%w_]*$" then
      return nil, "a disk's name has letters, digits and _", "disks"
    end
    if type(d) ~= "table" then return nil, "disk '" .. name .. "' is no table", name end
    for key, v in pairs(d) do
      if not KEYS[key] then
        return nil, ("disk '%s' has an unknown key '%s'; known are back, dev, image, mode"):format(name, tostring(key)),
          tostring(key)
      elseif type(v) ~= KEYS[key] then
        return nil, ("'%s' of disk '%s' is no %s"):format(key, name, KEYS[key]), key
      end
    end
    if not d.image or not d.back then return nil, "disk '" .. name .. "' needs an image and a back", name end
    if d.mode and d.mode ~= "r" and d.mode ~= "w" then return nil, "a disk's mode is r or w", "mode" end
    if d.dev then
      local ok, err = block.number_of(d.dev)
      if not ok then return nil, err, "dev" end
      if taken[d.dev] then return nil, "there are two disks " .. d.dev, "dev" end
      taken[d.dev] = true
    end
  end
  return true
end

--- The disks of a domain's description, each with its device name and number: by name, from xvda on.
function M.list(disks)
  local names, taken, list = {}, {}, {}
  for name, d in pairs(disks or {}) do
    names[#names + 1] = name
    if d.dev then taken[d.dev] = true end
  end
  table.sort(names)
  local letter = ("a"):byte()
  for _, name in ipairs(names) do
    local d = disks[name]
    local dev = d.dev
    while not dev do
      local free = "xvd" .. string.char(letter)
      if taken[free] then letter = letter + 1 else dev = free end
    end
    taken[dev] = true
    list[#list + 1] = { name = name, dev = dev, number = block.number_of(dev), image = d.image, back = d.back,
      mode = d.mode or "w" }
  end
  return list
end

local function front_of(domid, disk) return ("/local/domain/%d/device/vbd/%d"):format(domid, disk.number) end
local function back_of(domid, disk, back)
  return ("/local/domain/%d/backend/vbd/%d/%d"):format(back, domid, disk.number)
end
M.back_of = back_of

--- The nodes of a disk of domain `domid` that domain `back` serves. @param put function(path, value, perms)
-- @param again true: the front end is there already, and its state is its own
function M.nodes(put, domid, disk, back, again)
  local front, path = front_of(domid, disk), back_of(domid, disk, back)
  local perms = { "n" .. back, "r" .. domid }
  put(path, "", perms)
  put(path .. "/frontend", front)
  put(path .. "/frontend-id", domid)
  put(path .. "/params", disk.image)
  put(path .. "/mode", disk.mode)
  put(path .. "/dev", disk.dev)
  put(path .. "/device-type", "disk")
  put(path .. "/online", 1)
  put(path .. "/state", 1)
  put(front .. "/virtual-device", disk.number)
  put(front .. "/device-type", "disk")
  put(front .. "/backend-id", back)
  put(front .. "/backend", path)
  if not again then put(front .. "/state", 1) end
end

--- Takes the back end's folder away.
function M.clean(store, domid, disk, back) store:rm(back_of(domid, disk, back)) end

--- Unplugs in order, as libxl does: the back end is asked to close, the front end keeps what is under way.
-- @return true, or nil, message, code
function M.detach(store, domid, disk, back, wait)
  local path = back_of(domid, disk, back)
  if not store:read(path .. "/state") then return true end -- its domain has died
  store:write(path .. "/online", 0)
  local ok, err, code = store:write(path .. "/state", 5)
  if not ok then return nil, err, code end
  local function closed()
    local state = store:read(path .. "/state")
    return not state or state == "6"
  end
  if not wait(closed) then return nil, ("domain %d does not let go of %s"):format(back, disk.name), "XK_ETIMEDOUT" end
  return true
end

return M
