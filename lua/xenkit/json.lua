--- JSON (RFC 8259), strict, in pure Lua 5.4.
--
-- The domain program has no C JSON library, and what goes through here (dashboards, RPC bodies, `--json` output) is
-- small; so this module prefers being exact to being fast: integers stay integers, floats stay floats, bad UTF-8 and
-- unpaired surrogates are refused on both ways, depth has a cap, and an error says where. Speed comes from leaving the
-- scanning to `string.find`. It is no streaming parser: a document is one string.
--
-- Lua has one table for both of JSON's. A table whose keys are 1..n, n > 0, is an array; one with string keys is an
-- object; an empty one is an object unless `json.array` marked it. Decoded arrays are marked, so they survive a round
-- trip even when emptied.
--
-- @module xenkit.json

local M = {}

local find, sub, byte, format = string.find, string.sub, string.byte, string.format
local concat, sort = table.concat, table.sort
local mtype, tointeger = math.type, math.tointeger
local utf8_char, utf8_len = utf8.char, utf8.len
local raw_next, getmt, setmt = next, getmetatable, setmetatable

local MAX_DEPTH = 128
local INF = math.huge

--- Stands for JSON's null, so that a null in an array or object is kept. Compare with `==`.
M.null = setmt({}, {
  __name = "json.null",
  __tostring = function() return "null" end,
  __newindex = function() error("json.null cannot be changed", 2) end,
  __metatable = false,
})
local null = M.null

local array_mt = {__name = "json.array"}

--- Marks a table as an array, so that it encodes as `[]` even when empty.
-- @tparam[opt] table t  the table; a new one without
-- @treturn table  t itself
function M.array(t)
  if t == nil then t = {} end
  if type(t) ~= "table" then error("json.array: a table expected, got " .. type(t), 2) end
  return setmt(t, array_mt)
end

--- Says whether a table is marked as an array.
function M.is_array(t)
  return type(t) == "table" and getmt(t) == array_mt
end

-- Failure inside: a table thrown to the one pcall of encode or decode, so that bugs of our own still surface.
local failure_mt = {}

local function fail(message, pos)
  error(setmt({message = message, pos = pos}, failure_mt), 0)
end

-- ---------------------------------------------------------------------------------------------------- decoding

local decode_value

-- What stands at pos, for a message.
local function found(s, pos)
  if pos > #s then return "the end of the text" end
  local char = find(s, "^[\32-\126]", pos) and sub(s, pos, pos)
  if char then return format("'%s'", char) end
  return format("byte 0x%02X", byte(s, pos))
end

local function skip(s, pos)
  local _, last = find(s, "^[ \t\r\n]*", pos)
  return last + 1
end

local ESCAPES = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

-- One \uXXXX (or a surrogate pair of them) whose backslash is at pos: its UTF-8 and the position behind it.
local function decode_unicode(s, pos)
  local _, _, hex = find(s, "^(%x%x%x%x)", pos + 2)
  if not hex then fail("expected four hexadecimal digits after '\\u'", pos) end
  local code = tonumber(hex, 16)
  if code < 0xD800 or code > 0xDFFF then return utf8_char(code), pos + 6 end
  if code >= 0xDC00 then fail("low surrogate without a high one before it", pos) end
  local _, _, low_hex = find(s, "^\\u([dD][c-fC-F]%x%x)", pos + 6)
  if not low_hex then fail("high surrogate without a low one behind it", pos) end
  return utf8_char(0x10000 + ((code - 0xD800) << 10) + (tonumber(low_hex, 16) - 0xDC00)), pos + 12
end

-- The string whose opening quote is at pos.
local function decode_string(s, pos)
  local _, last, text = find(s, '^([^"\\\0-\31]*)"', pos + 1)
  if last then return text, last + 1 end
  local parts, n, at = {}, 0, pos + 1
  while true do
    local stop = find(s, '["\\\0-\31]', at)
    if not stop then fail("string without a closing quote", pos) end
    if stop > at then
      n = n + 1
      parts[n] = sub(s, at, stop - 1)
    end
    local char = sub(s, stop, stop)
    if char == '"' then return concat(parts, "", 1, n), stop + 1 end
    if char ~= "\\" then fail("control byte in a string (write it as an escape)", stop) end
    local kind = sub(s, stop + 1, stop + 1)
    n = n + 1
    if kind == "u" then
      parts[n], at = decode_unicode(s, stop)
    else
      parts[n] = ESCAPES[kind] or fail("unknown escape in a string", stop)
      at = stop + 2
    end
  end
end

local function decode_number(s, pos)
  local _, last = find(s, "^-?[1-9]%d*", pos)
  if not last then _, last = find(s, "^-?0", pos) end
  if not last then fail("expected a digit, found " .. found(s, pos + 1), pos + 1) end
  local _, fraction = find(s, "^%.%d+", last + 1)
  local _, exponent = find(s, "^[eE][+-]?%d+", (fraction or last) + 1)
  local stop = exponent or fraction or last
  if find(s, "^[%w_.+-]", stop + 1) then fail("malformed number", pos) end
  local number = tonumber(sub(s, pos, stop))
  if number == INF or number == -INF then fail("number out of range", pos) end
  return number, stop + 1
end

local function decode_array(s, pos, left)
  if left == 0 then fail("nested too deeply", pos) end
  local list, n = setmt({}, array_mt), 0
  pos = skip(s, pos + 1)
  if byte(s, pos) == 0x5D then return list, pos + 1 end
  while true do
    n = n + 1
    list[n], pos = decode_value(s, pos, left - 1)
    pos = skip(s, pos)
    local char = byte(s, pos)
    if char == 0x5D then return list, pos + 1 end
    if char ~= 0x2C then fail("expected ',' or ']', found " .. found(s, pos), pos) end
    pos = skip(s, pos + 1)
  end
end

local function decode_object(s, pos, left)
  if left == 0 then fail("nested too deeply", pos) end
  local object = {}
  pos = skip(s, pos + 1)
  if byte(s, pos) == 0x7D then return object, pos + 1 end
  while true do
    if byte(s, pos) ~= 0x22 then fail("expected a string as key, found " .. found(s, pos), pos) end
    local key
    key, pos = decode_string(s, pos)
    pos = skip(s, pos)
    if byte(s, pos) ~= 0x3A then fail("expected ':', found " .. found(s, pos), pos) end
    object[key], pos = decode_value(s, skip(s, pos + 1), left - 1)
    pos = skip(s, pos)
    local char = byte(s, pos)
    if char == 0x7D then return object, pos + 1 end
    if char ~= 0x2C then fail("expected ',' or '}', found " .. found(s, pos), pos) end
    pos = skip(s, pos + 1)
  end
end

local function literal(word, value)
  return function(s, pos)
    local stop = pos + #word
    if sub(s, pos, stop - 1) ~= word or find(s, "^[%w_]", stop) then
      fail(format("expected a value (did you mean '%s'?)", word), pos)
    end
    return value, stop
  end
end

local DECODERS = {
  [0x22] = decode_string,
  [0x5B] = decode_array,
  [0x7B] = decode_object,
  [0x2D] = decode_number,
  [0x74] = literal("true", true),
  [0x66] = literal("false", false),
  [0x6E] = literal("null", null),
}
for digit = 0x30, 0x39 do DECODERS[digit] = decode_number end

function decode_value(s, pos, left)
  local decoder = DECODERS[byte(s, pos)]
  if not decoder then fail("expected a value, found " .. found(s, pos), pos) end
  return decoder(s, pos, left)
end

local function decode_text(s, max_depth)
  local ok, bad = utf8_len(s)
  if not ok then fail("invalid UTF-8", bad) end
  if sub(s, 1, 3) == "\xEF\xBB\xBF" then fail("byte order mark at the start (remove it)", 1) end
  local value, pos = decode_value(s, skip(s, 1), max_depth)
  pos = skip(s, pos)
  if pos <= #s then fail("expected the end of the text, found " .. found(s, pos), pos) end
  return value
end

-- Line and column (in characters where the line is valid UTF-8, in bytes where not) of a byte position.
local function place(s, pos)
  local line, start = 1, 1
  for newline in string.gmatch(sub(s, 1, pos - 1), "()\n") do
    line, start = line + 1, newline + 1
  end
  return line, (utf8_len(sub(s, start, pos - 1)) or pos - start) + 1
end

local function depth_of(opts, name)
  local depth = opts and opts.max_depth or MAX_DEPTH
  if not tointeger(depth) or depth < 1 then error(name .. ": max_depth must be a positive integer", 3) end
  return tointeger(depth)
end

--- Decodes a JSON text.
--
-- Numbers without fraction and exponent that fit become integers, all others floats. The last of duplicate keys wins.
-- @tparam string s  the text
-- @tparam[opt] table opts  `max_depth` (128): how deep arrays and objects may nest
-- @return the value (`json.null` for null), or nil, a message with line and column, "XK_EPROTO"
function M.decode(s, opts)
  if type(s) ~= "string" then error("json.decode: a string expected, got " .. type(s), 2) end
  local ok, result = pcall(decode_text, s, depth_of(opts, "json.decode"))
  if ok then return result end
  if getmt(result) ~= failure_mt then error(result, 0) end
  local line, column = place(s, result.pos)
  return nil, format("json: line %d, column %d: %s", line, column, result.message), "XK_EPROTO"
end

-- ---------------------------------------------------------------------------------------------------- encoding

local encode_value

local SHORT = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape(char)
  return SHORT[char] or format("\\u%04x", byte(char))
end

local function encode_string(s)
  if not utf8_len(s) then fail("string is not valid UTF-8") end
  if find(s, '["\\\0-\31\127]') then s = string.gsub(s, '["\\\0-\31\127]', escape) end
  return '"' .. s .. '"'
end

local function encode_number(n)
  if mtype(n) == "integer" then return format("%d", n) end
  if n ~= n or n == INF or n == -INF then fail("number is not finite") end
  local text = format("%.14g", n)
  if tonumber(text) ~= n then text = format("%.16g", n) end
  if tonumber(text) ~= n then text = format("%.17g", n) end
  if not find(text, "[.e]") then text = text .. ".0" end
  return text
end

-- The number of items when t is to be an array, nil when it is to be an object.
local function array_size(t)
  local marked = getmt(t) == array_mt
  local size = rawlen(t)
  if size == 0 and not marked then return nil end
  local count = 0
  for key in raw_next, t do
    if mtype(key) ~= "integer" or key < 1 or key > size then
      if marked then fail("array with the key " .. tostring(key)) end
      fail("table with both array items and the key " .. tostring(key))
    end
    count = count + 1
  end
  if count ~= size then fail("array with holes (use json.null)") end
  return size
end

-- The path of the child is in the state while it is encoded: whoever catches a failure reads it there.
local function encode_child(out, key, value, state, indent)
  local path = state.path
  local depth = #path + 1
  path[depth] = key
  encode_value(out, value, state, indent)
  path[depth] = nil
end

local function enter(t, state)
  if state.active[t] then fail("table contains itself") end
  if #state.path >= state.max_depth then fail("nested too deeply") end
  state.active[t] = true
end

local function encode_array(out, t, size, state, indent)
  if size == 0 then
    out[#out + 1] = "[]"
    return
  end
  local inner = indent and indent .. state.step
  out[#out + 1] = "["
  for i = 1, size do
    if i > 1 then out[#out + 1] = "," end
    if inner then out[#out + 1] = inner end
    encode_child(out, i, rawget(t, i), state, inner)
  end
  if indent then out[#out + 1] = indent end
  out[#out + 1] = "]"
end

local function object_keys(t, sorted)
  local keys, n = {}, 0
  for key in raw_next, t do
    if type(key) ~= "string" then
      fail(format("object with a key of type %s (only strings can be keys)", type(key)))
    end
    n = n + 1
    keys[n] = key
  end
  if sorted then sort(keys) end
  return keys, n
end

local function encode_object(out, t, state, indent)
  local keys, n = object_keys(t, state.sorted)
  if n == 0 then
    out[#out + 1] = "{}"
    return
  end
  local inner = indent and indent .. state.step
  local colon = inner and ": " or ":"
  for i = 1, n do
    local key = keys[i]
    out[#out + 1] = i == 1 and "{" or ","
    if inner then out[#out + 1] = inner end
    out[#out + 1] = encode_string(key)
    out[#out + 1] = colon
    encode_child(out, key, rawget(t, key), state, inner)
  end
  if indent then out[#out + 1] = indent end
  out[#out + 1] = "}"
end

function encode_value(out, value, state, indent)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = encode_string(value)
  elseif kind == "number" then
    out[#out + 1] = encode_number(value)
  elseif kind == "boolean" then
    out[#out + 1] = value and "true" or "false"
  elseif value == null then
    out[#out + 1] = "null"
  elseif kind == "table" then
    enter(value, state)
    local size = array_size(value)
    if size then encode_array(out, value, size, state, indent) else encode_object(out, value, state, indent) end
    state.active[value] = nil
  else
    fail("cannot encode a " .. kind)
  end
end

local function encode_text(value, state)
  local out = {}
  encode_value(out, value, state, state.step and "\n")
  return concat(out)
end

-- "value", "value.a[2]" …: names where in the value the encoder stopped.
local function path_text(path)
  local parts = {"value"}
  for _, key in ipairs(path) do
    if type(key) == "number" then
      parts[#parts + 1] = format("[%d]", key)
    elseif find(key, "^[%a_][%w_]*$") then
      parts[#parts + 1] = "." .. key
    else
      parts[#parts + 1] = format('["%s"]', (string.gsub(key, '["\\%c\128-\255]', function(char)
        return format("\\x%02X", byte(char))
      end)))
    end
  end
  return concat(parts)
end

--- Encodes a value as JSON text.
--
-- Integers and floats keep their kind (1.0 is written `1.0`). Metamethods are not used, but for `json.array`'s mark.
-- @param value  nil is refused; write `json.null`
-- @tparam[opt] table opts  `sorted`: object keys in byte order, so that equal values give equal texts;
--   `indent`: number of blanks for each level (without: one line); `max_depth` (128)
-- @return the text, or nil, a message that names the place in the value, "XK_EINVAL"
function M.encode(value, opts)
  local indent = opts and opts.indent
  if indent and (not tointeger(indent) or indent < 0 or indent > 16) then
    error("json.encode: indent must be an integer from 0 to 16", 2)
  end
  local state = {
    path = {},
    active = {},
    sorted = opts and opts.sorted,
    step = indent and string.rep(" ", indent),
    max_depth = depth_of(opts, "json.encode"),
  }
  local ok, result = pcall(encode_text, value, state)
  if ok then return result end
  if getmt(result) ~= failure_mt then error(result, 0) end
  return nil, format("json: %s: %s", path_text(state.path), result.message), "XK_EINVAL"
end

return M
