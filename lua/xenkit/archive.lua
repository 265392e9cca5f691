--- A flat archive of named byte strings: what a domain boots from.
--
-- Format, little endian: "XKAR1\n", u32 count, then for each entry u16 length of the name, u32 length of the data, the
-- name, the data. Names are relative paths with "/" and no "." or ".." parts.
-- @module xenkit.archive
local M = {}

local MAGIC = "XKAR1\n"
local spack, sunpack = string.pack, string.unpack

--- Packs a table name -> string. Entries are sorted, so equal content gives equal bytes.
function M.pack(entries)
  local names = {}
  for name in pairs(entries) do names[#names + 1] = name end
  table.sort(names)
  local parts = { MAGIC, spack("<I4", #names) }
  for _, name in ipairs(names) do
    local data = entries[name]
    parts[#parts + 1] = spack("<I2I4", #name, #data)
    parts[#parts + 1] = name
    parts[#parts + 1] = data
  end
  return table.concat(parts)
end

local Archive = {}
Archive.__index = Archive
Archive.__name = "xenkit.archive"

--- Opens archive bytes. @return the archive, or nil, message, "XK_EPROTO"
function M.open(bytes)
  if bytes:sub(1, #MAGIC) ~= MAGIC or #bytes < #MAGIC + 4 then
    return nil, "not an archive of xenkit", "XK_EPROTO"
  end
  local count, at = sunpack("<I4", bytes, #MAGIC + 1)
  local index = {}
  for i = 1, count do
    if at + 6 > #bytes + 1 then return nil, "archive: entry " .. i .. " is cut off", "XK_EPROTO" end
    local nlen, dlen
    nlen, dlen, at = sunpack("<I2I4", bytes, at)
    if at + nlen + dlen > #bytes + 1 then return nil, "archive: entry " .. i .. " is cut off", "XK_EPROTO" end
    index[bytes:sub(at, at + nlen - 1)] = { at + nlen, dlen }
    at = at + nlen + dlen
  end
  return setmetatable({ bytes = bytes, index = index, prefix = "" }, Archive)
end

--- The content of `name`, or nil.
function Archive:get(name)
  local e = self.index[self.prefix .. name]
  return e and self.bytes:sub(e[1], e[1] + e[2] - 1)
end

--- All names, sorted.
function Archive:list()
  local names, p = {}, self.prefix
  for name in pairs(self.index) do
    if name:sub(1, #p) == p then names[#names + 1] = name:sub(#p + 1) end
  end
  table.sort(names)
  return names
end

--- The part of the archive below `folder`, sharing its bytes.
function Archive:sub(folder)
  return setmetatable({ bytes = self.bytes, index = self.index, prefix = self.prefix .. folder .. "/" }, Archive)
end

return M
