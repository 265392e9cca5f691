--- Partitions of a disk: MBR, with logical ones in an extended partition, and GPT (UEFI 2.10, 5; its backup table when
-- the first is damaged).
--
--     for _, p in ipairs(assert(partition.list(disk))) do print(p.number, p.at, p.bytes, p.type, p.name) end
--     local first = assert(partition.open(disk, 1))        -- as a disk of its own
--
-- @module xenkit.partition
local M = {}

local SECTOR, MOST = 512, 128
local EXTENDED = { [0x05] = true, [0x0f] = true, [0x85] = true }

local crc_table
local function crc32(s)
  if not crc_table then
    crc_table = {}
    for i = 0, 255 do
      local c = i
      for _ = 1, 8 do c = c & 1 == 1 and c >> 1 ~ 0xedb88320 or c >> 1 end
      crc_table[i] = c
    end
  end
  local c = 0xffffffff
  for i = 1, #s do c = crc_table[(c ~ s:byte(i)) & 255] ~ c >> 8 end
  return c ~ 0xffffffff
end

-- A GUID's first three fields are little endian.
local function guid(s)
  local a, b, c = ("<I4I2I2"):unpack(s)
  local rest = s:sub(9):gsub(".", function(x) return ("%02x"):format(x:byte()) end)
  return ("%08x-%04x-%04x-%s-%s"):format(a, b, c, rest:sub(1, 4), rest:sub(5))
end

local function utf16(s)
  local out = {}
  for i = 1, #s - 1, 2 do
    local c = ("<I2"):unpack(s, i)
    if c == 0 then break end
    out[#out + 1] = c >= 0xd800 and c < 0xe000 and "?" or utf8.char(c)
  end
  return table.concat(out)
end

-- What a table says of places may be anything.
local function read(disk, at, n)
  local bytes = disk:info().bytes
  if at < 0 or n > bytes or at > bytes - n then
    return nil, "its table leads beyond the end of the disk", "XK_EINVAL"
  end
  return disk:read(at, n)
end

-- --- GPT -----------------------------------------------------------------------------------------------------------

local function gpt_header(disk, lba, unit)
  local h, err, code = read(disk, lba * unit, unit)
  if not h then return nil, err, code end
  local size = ("<I4"):unpack(h, 13)
  if h:sub(1, 8) ~= "EFI PART" or size < 92 or size > unit then return nil, "no GPT", "XK_EINVAL" end
  local sum = ("<I4"):unpack(h, 17)
  if crc32(h:sub(1, 16) .. "\0\0\0\0" .. h:sub(21, size)) ~= sum then
    return nil, "its checksum is wrong", "XK_EINVAL"
  end
  local mine = ("<I8"):unpack(h, 25)
  local at, count, each, entries = ("<I8I4I4I4"):unpack(h, 73)
  if mine ~= lba or each < 128 or each % 8 ~= 0 or each > 4096 or count < 1 or count > 1024 or at < 0
    or at > disk:info().bytes // unit then
    return nil, "its header makes no sense", "XK_EINVAL"
  end
  return { at = at, count = count, each = each, sum = entries }
end

local function gpt_entries(disk, h, unit)
  local n = h.count * h.each
  local bytes, err, code = read(disk, h.at * unit, (n + unit - 1) // unit * unit)
  if not bytes then return nil, err, code end
  local units = disk:info().bytes // unit
  bytes = bytes:sub(1, n)
  if crc32(bytes) ~= h.sum then return nil, "its table's checksum is wrong", "XK_EINVAL" end
  local list = {}
  for i = 1, h.count do
    local e = bytes:sub((i - 1) * h.each + 1, i * h.each)
    if e:sub(1, 16) ~= ("\0"):rep(16) then
      local first, last = ("<I8I8"):unpack(e, 33)
      if first < 0 or last < first or last >= units then first, last = 0, -1 end -- there is no such place
      list[#list + 1] = { number = i, at = first * unit, bytes = (last - first + 1) * unit, type = guid(e:sub(1, 16)),
        uuid = guid(e:sub(17, 32)), name = utf16(e:sub(57, 128)) }
    end
  end
  return list
end

-- The first header, or the one in the last sector.
local function gpt(disk, info)
  local unit = info.sector
  for _, lba in ipairs { 1, info.bytes // unit - 1 } do
    local h = gpt_header(disk, lba, unit)
    local list = h and gpt_entries(disk, h, unit)
    if list then return list end
  end
  return nil, "the disk has a GPT, and neither copy of it is whole", "XK_EINVAL"
end

-- --- MBR -----------------------------------------------------------------------------------------------------------

local function mbr_entries(s)
  local list = {}
  for i = 0, 3 do
    local kind, first, count = s:byte(447 + i * 16 + 4), ("<I4I4"):unpack(s, 447 + i * 16 + 8)
    list[i + 1] = { type = kind, first = first, count = count, boot = s:byte(447 + i * 16) == 0x80 }
  end
  return list
end

-- Each table in the chain has one partition, and where the next table is; both are counted from different places.
local function logical(disk, base, list)
  local at, seen = base, {}
  for number = 5, MOST do
    if seen[at] then return nil, "its extended partitions go in a circle", "XK_EINVAL" end
    seen[at] = true
    local s, err, code = read(disk, at * SECTOR, SECTOR)
    if not s then return nil, err, code end
    if s:sub(511, 512) ~= "\x55\xaa" then return nil, "an extended partition has no table", "XK_EINVAL" end
    local e = mbr_entries(s)
    if e[1].type ~= 0 then
      list[#list + 1] = { number = number, at = (at + e[1].first) * SECTOR, bytes = e[1].count * SECTOR,
        type = ("%02x"):format(e[1].type), boot = e[1].boot }
    end
    if not EXTENDED[e[2].type] then return true end
    at = base + e[2].first
  end
  return nil, "it has more than " .. MOST .. " partitions", "XK_EINVAL"
end

M.crc32 = crc32

--- All partitions of `disk`.
-- @return a list of {number, at, bytes, type; boot (MBR); uuid, name (GPT)}; nil, message, code
function M.list(disk)
  local info = disk:info()
  local s, err, code = read(disk, 0, info.sector)
  if not s then return nil, err, code end
  if s:sub(511, 512) ~= "\x55\xaa" then return nil, "the disk has no partition table", "XK_ENOENT" end
  local list, entries = {}, mbr_entries(s)
  for i, e in ipairs(entries) do
    if e.type == 0xee then return gpt(disk, info) end
    if EXTENDED[e.type] then
      local ok
      ok, err, code = logical(disk, e.first, list)
      if not ok then return nil, err, code end
    elseif e.type ~= 0 and e.count > 0 then
      table.insert(list, { number = i, at = e.first * SECTOR, bytes = e.count * SECTOR, type = ("%02x"):format(e.type),
        boot = e.boot })
    end
  end
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

--- Partition `number` as a disk of its own; `disk` is not to be used any more then.
function M.open(disk, number)
  local list, err, code = M.list(disk)
  if not list then return nil, err, code end
  for _, p in ipairs(list) do
    if p.number == number then
      if p.bytes <= 0 or p.bytes > disk:info().bytes or p.at > disk:info().bytes - p.bytes then
        return nil, ("partition %d goes beyond the end of the disk"):format(number), "XK_EINVAL"
      end
      return disk:slice(p.at, p.bytes)
    end
  end
  return nil, "the disk has no partition " .. tostring(number), "XK_ENOENT"
end

return M
