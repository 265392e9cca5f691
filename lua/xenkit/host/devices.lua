--- Disks and networks of a hosted world: where each half lives, and the nodes that say so, as libxl writes them.
--
--     { name = "db", script = "db.lua",
--       disks = { data = { image = "data.img", back = "disks" } },
--       vifs = { lan = { back = "net" } } }
--
-- `back` names the domain that serves it; it may be another one later (Toolstack:move), and when it is restarted under
-- another number its devices follow it. A device is {kind = "vbd" or "vif", name, number, back, ...}.
-- @module xenkit.host.devices
local block = require "xenkit.block"
local net = require "xenkit.net"

local M = {}

local DISK = { image = "string", back = "string", mode = "string", dev = "string", queues = "integer" }
local QUEUES_MAX = 4
local VIF = { back = "string", mac = "string", vlan = "integer", strict = "boolean", address = "string",
  gateway = "string", address6 = "string", gateway6 = "string", ipv6 = "boolean", queues = "integer", keep = "boolean",
  hash = "table" }
local HASH = { key = "string", types = "table", map = "table" }
local HASH_TYPES = { ip4 = true, ip4_tcp = true, ip6 = true, ip6_tcp = true }
local KEY_MAX, MAP_MAX = 40, 128

local function known(keys)
  local list = {}
  for k in pairs(keys) do list[#list + 1] = k end
  table.sort(list)
  return table.concat(list, ", ")
end

-- What disks and networks have in common. @return true, or nil, message, the key that is wrong
local function check_table(what, name, d, keys)
  if type(name) ~= "string" or not name:match "^[%a_][%w_]*$" then
    return nil, ("a %s's name has letters, digits and _"):format(what), what .. "s"
  end
  if type(d) ~= "table" then return nil, ("%s '%s' is no table"):format(what, name), name end
  for key, v in pairs(d) do
    local got = math.type(v) == "integer" and "integer" or type(v)
    if not keys[key] then
      return nil, ("%s '%s' has an unknown key '%s'; known are %s"):format(what, name, tostring(key), known(keys)),
        tostring(key)
    elseif got ~= keys[key] then
      return nil, ("'%s' of %s '%s' is no %s"):format(key, what, name, keys[key]), key
    end
  end
  return true
end

local function check_queues(what, n)
  if n and (n < 1 or n > QUEUES_MAX) then
    return nil, ("a %s has 1 to %d queues"):format(what, QUEUES_MAX), "queues"
  end
  return true
end

local function check_disk(name, d, taken)
  local ok, err, key = check_table("disk", name, d, DISK)
  if not ok then return nil, err, key end
  if not d.image or not d.back then return nil, "disk '" .. name .. "' needs an image and a back", name end
  if d.mode and d.mode ~= "r" and d.mode ~= "w" then return nil, "a disk's mode is r or w", "mode" end
  ok, err, key = check_queues("disk", d.queues)
  if not ok then return nil, err, key end
  if not d.dev then return true end
  ok, err = block.number_of(d.dev)
  if not ok then return nil, err, "dev" end
  if taken[d.dev] then return nil, "there are two disks " .. d.dev, "dev" end
  taken[d.dev] = true
  return true
end

-- How a guest wants what comes spread over its queues.
local function check_hash(h, queues)
  for key, v in pairs(h) do
    if HASH[key] ~= type(v) then
      return nil, ("hash has key (a string), types and map (lists), not '%s' that is a %s")
        :format(tostring(key), type(v))
    end
  end
  if h.key and #h.key > KEY_MAX then return nil, ("a hash's key has up to %d bytes"):format(KEY_MAX) end
  for _, t in ipairs(h.types or {}) do
    if not HASH_TYPES[t] then
      return nil, ("a hash has the types %s, not '%s'"):format(known(HASH_TYPES), tostring(t))
    end
  end
  for i, q in ipairs(h.map or {}) do
    if i > MAP_MAX or math.type(q) ~= "integer" or q < 0 or q >= (queues or 1) then
      return nil, ("a hash's map has up to %d places, each a queue of 0 to %d"):format(MAP_MAX, (queues or 1) - 1)
    end
  end
  return true
end

local function check_vif(name, d, taken)
  local ok, err, key = check_table("vif", name, d, VIF)
  if not ok then return nil, err, key end
  if not d.back then return nil, "vif '" .. name .. "' needs a back", name end
  if d.mac and not d.mac:match "^%x[02468aceACE]:%x%x:%x%x:%x%x:%x%x:%x%x$" then
    return nil, "'" .. d.mac .. "' is not an Ethernet address such as 00:16:3e:00:00:01", "mac"
  end
  if d.mac and taken[d.mac] then return nil, "there are two vifs " .. d.mac, "mac" end
  taken[d.mac or name] = true
  ok, err, key = check_queues("vif", d.queues)
  if not ok then return nil, err, key end
  if d.hash then
    ok, err = check_hash(d.hash, d.queues)
    if not ok then return nil, err, "hash" end
  end
  if d.vlan and (d.vlan < 1 or d.vlan > 4094) then return nil, "a VLAN's number is 1 to 4094", "vlan" end
  if d.address then
    ok, err = net.cidr(d.address)
    if not ok then return nil, err, "address" end
  end
  if d.gateway and not net.cidr(d.gateway .. "/32") then
    return nil, "'" .. d.gateway .. "' is no IPv4 address", "gateway"
  end
  if d.address6 then
    ok, err = net.cidr6(d.address6)
    if not ok then return nil, err, "address6" end
  end
  if d.gateway6 and not net.cidr6(d.gateway6 .. "/128") then
    return nil, "'" .. d.gateway6 .. "' is no IPv6 address", "gateway6"
  end
  if d.ipv6 == false and (d.address6 or d.gateway6) then
    return nil, "vif '" .. name .. "' has an IPv6 address, and no IPv6", "ipv6"
  end
  return true
end

--- Checks `disks` and `vifs` of a domain of a world file. @return true, or nil, message, the key that is wrong
function M.check(desc)
  for key, check in pairs { disks = check_disk, vifs = check_vif } do
    local taken = {}
    for name, d in pairs(desc[key] or {}) do
      local ok, err, wrong = check(name, d, taken)
      if not ok then return nil, err, wrong end
    end
  end
  return true
end

local function names_of(t)
  local names = {}
  for name in pairs(t or {}) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Device names and numbers: by name, from xvda on.
local function add_disks(list, disks)
  local taken, letter = {}, ("a"):byte()
  for _, d in pairs(disks or {}) do
    if d.dev then taken[d.dev] = true end
  end
  for _, name in ipairs(names_of(disks)) do
    local d = disks[name]
    local dev = d.dev
    while not dev do
      local free = "xvd" .. string.char(letter)
      if taken[free] then letter = letter + 1 else dev = free end
    end
    taken[dev] = true
    list[#list + 1] = { kind = "vbd", name = name, dev = dev, number = block.number_of(dev), image = d.image,
      back = d.back, mode = d.mode or "w", queues = d.queues }
  end
end

-- The same each time, so that leases and neighbours stay right: Xen's own three bytes, then a hash of the names.
local function mac_of(domain, name)
  local h = 2166136261
  for c in (domain .. "/" .. name):gmatch "." do h = ((h ~ c:byte()) * 16777619) & 0xffffffff end
  return ("00:16:3e:%02x:%02x:%02x"):format(h >> 16 & 0x7f, h >> 8 & 255, h & 255)
end

local function add_vifs(list, vifs, domain)
  for i, name in ipairs(names_of(vifs)) do
    local d = vifs[name]
    list[#list + 1] = { kind = "vif", name = name, dev = "vif" .. i - 1, number = i - 1, back = d.back,
      mac = (d.mac or mac_of(domain, name)):lower(), vlan = d.vlan, strict = d.strict, address = d.address,
      gateway = d.gateway, address6 = d.address6, gateway6 = d.gateway6, ipv6 = d.ipv6,
      queues = d.queues, keep = d.keep, hash = d.hash }
  end
end

--- All devices of a domain's description.
function M.list(desc)
  local list = {}
  add_disks(list, desc.disks)
  add_vifs(list, desc.vifs, desc.name)
  return list
end

--- What the domain itself is told of them: `disk` and `vif` of its description in the boot archive.
function M.told(list)
  local disk, vif = {}, {}
  for _, d in ipairs(list) do
    if d.kind == "vbd" then disk[d.name] = { dev = d.dev, queues = d.queues } end
    if d.kind == "vif" then
      vif[d.name] = { number = d.number, address = d.address, gateway = d.gateway, address6 = d.address6,
        gateway6 = d.gateway6, ipv6 = d.ipv6, queues = d.queues, keep = d.keep, hash = d.hash }
    end
  end
  return next(disk) and disk or nil, next(vif) and vif or nil
end

local function front_of(domid, d) return ("/local/domain/%d/device/%s/%d"):format(domid, d.kind, d.number) end
local function back_of(domid, d, back)
  return ("/local/domain/%d/backend/%s/%d/%d"):format(back, d.kind, domid, d.number)
end
M.back_of = back_of

local extras = {}

function extras.vbd(put, front, path, d)
  put(path .. "/params", d.image)
  put(path .. "/mode", d.mode)
  put(path .. "/dev", d.dev)
  put(path .. "/device-type", "disk")
  put(front .. "/virtual-device", d.number)
  put(front .. "/device-type", "disk")
end

function extras.vif(put, front, path, d)
  put(path .. "/handle", d.number)
  put(path .. "/mac", d.mac)
  if d.vlan then put(path .. "/vlan", d.vlan) end
  if d.strict == false then put(path .. "/strict", 0) end
  put(front .. "/handle", d.number)
  put(front .. "/mac", d.mac)
end

--- The nodes of a device of domain `domid` that domain `back` serves. @param put function(path, value, perms)
-- @param again true: the front end is there already, and its state is its own
function M.nodes(put, domid, d, back, again)
  local front, path = front_of(domid, d), back_of(domid, d, back)
  put(path, "", { "n" .. back, "r" .. domid })
  put(path .. "/frontend", front)
  put(path .. "/frontend-id", domid)
  extras[d.kind](put, front, path, d)
  put(path .. "/online", 1)
  put(path .. "/state", 1)
  put(front .. "/backend-id", back)
  put(front .. "/backend", path)
  if not again then put(front .. "/state", 1) end
end

--- Takes the back end's folder away.
function M.clean(store, domid, d, back) store:rm(back_of(domid, d, back)) end

--- Unplugs in order, as libxl does: the back end is asked to close, a disk's front end keeps what is under way.
-- @return true, or nil, message, code
function M.detach(store, domid, d, back, wait)
  local path = back_of(domid, d, back)
  if not store:read(path .. "/state") then return true end -- its domain has died
  store:write(path .. "/online", 0)
  local ok, err, code = store:write(path .. "/state", 5)
  if not ok then return nil, err, code end
  local function closed()
    local state = store:read(path .. "/state")
    return not state or state == "6"
  end
  if not wait(closed) then return nil, ("domain %d does not let go of %s"):format(back, d.name), "XK_ETIMEDOUT" end
  return true
end

return M
