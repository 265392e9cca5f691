-- Disks with a partition table: refused, or listed with partitions that open as what they say or are refused. The
-- first byte says how large a sector is, and whether the checksums of a GPT are put right. Nothing is asked of the disk
-- that it has not.
local partition = require "xenkit.partition"

local function put(s, at, text) return s:sub(1, at) .. text .. s:sub(at + #text + 1) end

local function put_right(s, unit)
  local h = s:sub(unit + 1, 2 * unit)
  if h:sub(1, 8) ~= "EFI PART" then return s end
  local at, count, each = ("<I8I4I4"):unpack(h, 73)
  if at >= 0 and at * unit < #s and count * each < 1 << 20 then
    h = put(h, 88, ("<I4"):pack(partition.crc32(s:sub(at * unit + 1, at * unit + count * each))))
  end
  local size = math.min(("<I4"):unpack(h, 13), unit)
  h = put(h, 16, ("<I4"):pack(partition.crc32(h:sub(1, 16) .. "\0\0\0\0" .. h:sub(21, size))))
  return put(s, unit, h)
end

return function(bytes)
  local how = bytes:byte() or 0
  local unit = how & 1 == 1 and 4096 or 512
  local s = bytes:sub(2)
  s = s .. ("\0"):rep(-#s % unit)
  if #s < 2 * unit then return end
  if how & 2 == 2 then s = put_right(s, unit) end
  local disk = {}
  function disk:info() return { bytes = #s, sector = unit } end -- luacheck: ignore self
  function disk:read(at, n) -- luacheck: ignore self
    assert(at >= 0 and at % 512 == 0 and n > 0 and n % 512 == 0 and at + n <= #s, "not on the disk")
    if at % unit ~= 0 or n % unit ~= 0 then return nil, "between sectors", "XK_EINVAL" end
    return s:sub(at + 1, at + n)
  end
  function disk:slice(at, n) -- luacheck: ignore self
    assert(at >= 0 and n > 0 and at % 512 == 0 and at + n <= #s, "no such part")
    return { at = at, bytes = n }
  end
  local list, err, code = partition.list(disk)
  if not list then return assert(type(err) == "string" and code:find "^XK_E") end
  for _, p in ipairs(list) do
    local part, e, c = partition.open(disk, p.number)
    assert(part and part.bytes > 0 or type(e) == "string" and c)
  end
end
