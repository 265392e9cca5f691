--- Function names of an ELF file, by address: just enough of the format to read a crash report without other tools.
-- 64-bit little-endian files only. @module xenkit.host.elf
local files = require "xenkit.host.files"

local M = {}
local Elf = {}
Elf.__index = Elf

local SYMTAB, FUNC, NOTYPE = 2, 2, 0
local SHDR = "<I4I4I8I8I8I8I4I4I8I8" -- name type flags addr offset size link info addralign entsize
local SYM = "<I4BBI2I8I8"            -- name info other shndx value size
local EXECUTABLE = 4

local function sections(bytes)
  local shoff = string.unpack("<I8", bytes, 0x28 + 1)
  local entsize, count = string.unpack("<I2I2", bytes, 0x3a + 1)
  local list = {}
  for i = 0, count - 1 do
    local _, kind, flags, addr, offset, size, link = string.unpack(SHDR, bytes, shoff + i * entsize + 1)
    list[i] = { kind = kind, flags = flags, addr = addr, offset = offset, size = size, link = link }
  end
  return list
end

local function symbols(bytes, list)
  local found = {}
  for _, s in pairs(list) do
    if s.kind == SYMTAB then
      local names = list[s.link].offset
      for at = s.offset, s.offset + s.size - 24, 24 do
        local name, info, _, shndx, value, size = string.unpack(SYM, bytes, at + 1)
        local kind = info & 15
        if shndx ~= 0 and value ~= 0 and (kind == FUNC or (kind == NOTYPE and size > 0)) then
          found[#found + 1] = { value = value, size = size, name = string.unpack("z", bytes, names + name + 1) }
        end
      end
    end
  end
  table.sort(found, function(a, b) return a.value < b.value end)
  return found
end

--- Reads the bytes of a file called `path`. @return its functions, or nil, message, "XK_EPROTO"
function M.parse(bytes, path)
  if bytes:sub(1, 6) ~= "\127ELF\2\1" then return nil, path .. ": no 64-bit ELF file", "XK_EPROTO" end
  local ok, list = pcall(sections, bytes)
  local good, found
  if ok then good, found = pcall(symbols, bytes, list) end
  if not good then return nil, path .. ": its section headers are damaged", "XK_EPROTO" end
  return setmetatable({ path = path, bytes = bytes, sections = list, symbols = found }, Elf)
end

--- Opens a file. @return its functions, or nil, message, code
function M.open(path)
  local bytes, err, code = files.read(path)
  if not bytes then return nil, err, code end
  return M.parse(bytes, path)
end

--- The function at `address`: its name and how far into it, or nil.
function Elf:find(address)
  local lo, hi = 1, #self.symbols
  while lo < hi do
    local mid = (lo + hi + 1) // 2
    if self.symbols[mid].value <= address then lo = mid else hi = mid - 1 end
  end
  local s = self.symbols[lo]
  if not s or address < s.value then return nil end
  if s.size > 0 and address > s.value + s.size then return nil end
  return s.name, address - s.value
end

--- Does code stand at `address`?
function Elf:is_code(address)
  for _, s in pairs(self.sections) do
    if s.flags & EXECUTABLE ~= 0 and address >= s.addr and address < s.addr + s.size then return true, s end
  end
  return false
end

--- Is `address` where a call returns to? E8 with four bytes, or FF /2 with one to six.
function Elf:after_call(address)
  local code, s = self:is_code(address)
  if not code or address < s.addr + 8 then return false end
  local before = self.bytes:sub(s.offset + address - s.addr - 6, s.offset + address - s.addr) -- the 7 bytes before
  if before:byte(3) == 0xe8 then return true end
  for i = 1, 6 do
    if before:byte(i) == 0xff and before:byte(i + 1) & 0x38 == 0x10 then return true end
  end
  return false
end

return M
