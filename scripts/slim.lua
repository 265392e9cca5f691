--- Takes the names of local variables and upvalues out of a chunk of Lua 5.4 bytecode (string.dump), leaving its line
-- numbers: half of the strings that loading it would make, while tracebacks still name file and line.
-- The format is that of Lua 5.4's ldump.c; a chunk of another version is refused.
local HEADER = "\27Lua\x54\0\x19\x93\r\n\x1a\n\4\8\8" .. string.pack("<i8n", 0x5678, 370.5)
local FLOAT, INTEGER, SHORT, LONG = 0x13, 0x03, 0x04, 0x14

return function(bytes)
  assert(bytes:sub(1, #HEADER) == HEADER, "this is no bytecode of Lua 5.4")
  local at, out = #HEADER + 1, { HEADER }

  local function take(n)
    local s = bytes:sub(at, at + n - 1)
    assert(#s == n, "the bytecode is cut off")
    at = at + n
    return s
  end
  local function put(s) out[#out + 1] = s end
  local function size() -- seven bits a byte, the last one marked
    local v = 0
    while true do
      local b = take(1):byte()
      v = v << 7 | b & 0x7f
      if b & 0x80 ~= 0 then return v end
    end
  end
  local function copy_size()
    local from = at
    local v = size()
    put(bytes:sub(from, at - 1))
    return v
  end
  local function copy(n) put(take(n)) end
  local function copy_string()
    local n = copy_size()
    if n > 0 then copy(n - 1) end
  end
  local function skip_string()
    local n = size()
    if n > 0 then take(n - 1) end
  end

  local function constant()
    local kind = take(1)
    put(kind)
    kind = kind:byte()
    if kind == FLOAT or kind == INTEGER then copy(8)
    elseif kind == SHORT or kind == LONG then copy_string() end
  end

  local function debug_part()
    copy(copy_size())                       -- a byte an instruction
    for _ = 1, copy_size() do copy_size() copy_size() end
    for _ = 1, size() do skip_string() size() size() end
    put("\x80")                             -- no local variables
    for _ = 1, size() do skip_string() end
    put("\x80")                             -- no names of upvalues
  end

  local function chunk()
    copy_string()                           -- source
    copy_size() copy_size()                 -- first and last line
    copy(3)
    copy(copy_size() * 4)
    for _ = 1, copy_size() do constant() end
    copy(copy_size() * 3)                   -- upvalues
    for _ = 1, copy_size() do chunk() end
    debug_part()
  end

  copy(1)
  chunk()
  assert(at == #bytes + 1, "something follows the bytecode")
  return table.concat(out)
end
