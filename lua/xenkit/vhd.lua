--- Chains of Virtual Hard Disks: which files an image needs, found by the names that they say.
-- @module xenkit.vhd
local core = require "xenkit.core.image"

local M = { CHAIN_MAX = 30 }

local RAW = ("\0"):rep(16)

--- A uuid's bytes as they are written.
function M.uuid(bytes)
  return (("%02x"):rep(4) .. ("-%02x%02x"):rep(3) .. "-" .. ("%02x"):rep(6)):format(bytes:byte(1, 16))
end

--- The last part of the name that an image says of its parent: a path of Windows or of Linux.
function M.base_name(name) return name:match "[^/\\]*$" end

-- What a VHD says; with what is wrong named.
local function info_of(open, name)
  local fd, err, code = open(name)
  if not fd then return nil, err, code end
  local info
  info, err, code = core.info(fd)
  if info then return info end
  if code == "XK_EPROTO" then err = "it is no VHD, or its footer or header is damaged" end
  if code == "XK_ERANGE" then err = "it says that it is larger than a VHD may be, 2040 GiB" end
  return nil, name .. ": " .. err, code
end

--- The files of an image, itself first. `open(name)` gives a descriptor, or nil, message, code; `parent_of(name, said)`
-- the name that `open` takes of a parent which an image calls `said`.
-- @return list of {name, info}, where a raw base has no info; nil, message, code
function M.chain(open, name, parent_of)
  local list, seen = {}, {}
  while true do
    local info, err, code = info_of(open, name)
    if not info then
      return nil, #list > 0 and ("%s, the parent of %s: %s"):format(name, list[#list].name, err) or err, code
    end
    local child = list[#list]
    if child and info.uuid ~= child.info.parent_uuid then
      return nil, ("%s: it has %s for its parent, and the one that is there is another (its uuid is %s, not %s)")
        :format(child.name, name, M.uuid(info.uuid), M.uuid(child.info.parent_uuid)), "XK_EINVAL"
    end
    seen[name] = true
    list[#list + 1] = { name = name, info = info }
    if info.type ~= "differencing" then return list end
    local parent = parent_of(name, info.parent_name)
    if seen[parent] then return nil, name .. ": it is its own ancestor", "XK_EINVAL" end
    if #list == M.CHAIN_MAX then return nil, list[1].name .. ": it has more than 30 images", "XK_E2BIG" end
    if info.parent_uuid == RAW then
      local fd, e, c = open(parent)
      if not fd then return nil, ("%s, the parent of %s: %s"):format(parent, name, e), c end
      core.info(fd) -- which closes it: a raw image may be anything
      list[#list + 1] = { name = parent }
      return list
    end
    name = parent
  end
end

--- The files of a chain opened: descriptors. `open(name, readonly)`; `close(fd)` for when one cannot be.
function M.open_all(list, open, readonly, close)
  local fds = {}
  for i, level in ipairs(list) do
    local fd, err, code = open(level.name, i > 1 or readonly)
    if not fd then
      for _, one in ipairs(fds) do close(one) end
      return nil, err, code
    end
    fds[i] = fd
  end
  return fds
end

return M
