--- Records and frames as bytes. A record is written once, by its sender; the same bytes go into the ring of last words,
-- over the vchan, into the log domain and on to readers. Decoding trusts nothing.
--
-- A record: version 1, sequence number, the sender's monotonic and wall clock in seconds, level, source, text, fields.
-- A frame: its length, then a letter and what that letter means:
--
--     sender    H hello (JSON)   R record   A the next sequence number   B bye
--     to it     L rules (JSON)
--     reader    Q query (JSON)
--     to it     R stamp and record   E all that is kept was sent (JSON)   O answer (JSON)   X refusal (JSON)
-- @module xenkit.log.wire
local level = require "xenkit.log.level"

local M = {}

local pack, unpack, mtype = string.pack, string.unpack, math.type

local RECORD = "<BI8ddBs1s2s2"
local VERSION = 1
M.TEXT_MAX, M.FIELDS_MAX, M.RECORD_MAX = 4096, 2048, 6400
M.SEQ_MAX = 1 << 53
M.FRAME_MAX = 1 << 20

-- --- records -------------------------------------------------------------------------------------------------------

-- Cuts where a character of UTF-8 begins.
local function cut(text, max)
  if #text <= max then return text end
  while max > 0 and (text:byte(max + 1) or 0) & 0xc0 == 0x80 do max = max - 1 end
  return text:sub(1, max)
end

local function field(key, value)
  local kind = mtype(value) or type(value)
  if kind == "integer" then return pack("<s1c1s2", key, "i", pack("<i8", value)) end
  if kind == "float" then return pack("<s1c1s2", key, "d", pack("<d", value)) end
  if kind == "boolean" then return pack("<s1c1s2", key, value and "t" or "f", "") end
  return pack("<s1c1s2", key, "s", cut(tostring(value), 1024))
end

local function put_fields(fields)
  local parts, size = {}, 0
  for k, v in pairs(fields) do
    local bytes = field(cut(tostring(k), 64), v)
    if size + #bytes <= M.FIELDS_MAX then -- what does not fit is left out
      parts[#parts + 1] = bytes
      size = size + #bytes
    end
  end
  return table.concat(parts)
end

--- The bytes of a record. @param n the level's number
function M.record(seq, mono, wall, n, source, text, fields)
  return pack(RECORD, VERSION, seq, mono, wall, n, source, cut(text, M.TEXT_MAX), fields and put_fields(fields) or "")
end

-- Text that may be shown on a terminal and written as JSON: control characters and what is no UTF-8 become \xNN.
local function safe(text)
  if text:find("[%c\127]") then
    text = text:gsub("[%c\127]", function(c) return ("\\x%02x"):format(c:byte()) end)
  end
  if utf8.len(text) then return text end
  return (text:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end
M.safe = safe

local VALUE = {
  i = function(bytes) return #bytes == 8 and unpack("<i8", bytes) or nil end,
  d = function(bytes)
    local v = #bytes == 8 and unpack("<d", bytes)
    if not v then return nil end
    return v == v and v ~= math.huge and v ~= -math.huge and v or tostring(v)
  end,
  t = function() return true end,
  f = function() return false end,
  s = safe,
}

local function get_fields(bytes)
  local fields, at = {}, 1
  while at <= #bytes do
    local ok, key, kind, value, after = pcall(unpack, "<s1c1s2", bytes, at)
    if not ok then return nil end
    local read = VALUE[kind]
    value = read and read(value)
    if value == nil then return nil end
    fields[safe(key)] = value
    at = after
  end
  return fields
end

local function is_time(t) return t == t and t > -1e12 and t < 1e12 end

--- The sequence number, level number and source of a record, checked; nil: these bytes are none.
function M.peek(bytes)
  if #bytes > M.RECORD_MAX then return nil end
  local ok, version, seq, mono, wall, n, source, text, fields, after = pcall(unpack, RECORD, bytes)
  if not ok or version ~= VERSION or after ~= #bytes + 1 or seq < 1 or seq >= M.SEQ_MAX or not level.NAME[n] or
    not level.is_source(source) or not is_time(mono) or not is_time(wall) or #text > M.TEXT_MAX or
    #fields > M.FIELDS_MAX then return nil end
  return seq, n, source
end

--- A whole record: {seq, mono, wall, level, source, text, fields}, safe to show; nil: these bytes are none.
function M.decode(bytes)
  if not M.peek(bytes) then return nil end
  local _, seq, mono, wall, n, source, text, fields = unpack(RECORD, bytes)
  local f = get_fields(fields)
  if not f then return nil end
  return { seq = seq, mono = mono, wall = wall, level = level.NAME[n], source = source, text = safe(text), fields = f }
end

-- --- what the log domain adds for readers --------------------------------------------------------------------------

local STAMP = "<BI8dI2s1"
M.LAST_WORDS, M.RECOVERED, M.LOST, M.SKIPPED = 1, 2, 4, 8

--- The stamp before a record: who said it, vouched for, and when it came.
function M.stamp(flags, number, time, domid, name, bytes)
  return pack(STAMP, flags, number, time, domid, name) .. bytes
end

--- A stamped record with number, time, domid and domain added; nil: these bytes are none.
function M.stamped(bytes)
  local ok, flags, number, time, domid, name, at = pcall(unpack, STAMP, bytes)
  local r = ok and is_time(time) and M.decode(bytes:sub(at))
  if not r then return nil end
  r.number, r.time, r.domid, r.domain = number, time, domid, safe(name)
  r.last_words = flags & M.LAST_WORDS ~= 0 or nil
  r.recovered = flags & M.RECOVERED ~= 0 or nil
  if flags & M.LOST ~= 0 then r.lost = math.tointeger(r.fields.count) or 0 end
  if flags & M.SKIPPED ~= 0 then r.skipped = math.tointeger(r.fields.count) or 0 end
  return r
end

-- --- frames --------------------------------------------------------------------------------------------------------

function M.frame(kind, body) return pack("<I4", #body + 1) .. kind .. body end

--- Reads frames of a stream, many at a time. @param max the longest one taken
-- @return next(timeout) -> kind, body, more; `more` says whether another is at hand. nil, message, code at the end, and
--   "XK_EPROTO" for what is no frame
function M.frames(stream, max)
  max = max or M.FRAME_MAX
  local buf, at = "", 1
  local function whole()
    if #buf - at < 3 then return nil end
    local n = unpack("<I4", buf, at)
    if n < 1 or n > max then return nil, n end
    return #buf - at - 3 >= n and n or nil
  end
  return function(timeout)
    while true do
      local n, bad = whole()
      if bad then return nil, "a frame of " .. bad .. " bytes", "XK_EPROTO" end
      if n then
        local kind, body = buf:sub(at + 4, at + 4), buf:sub(at + 5, at + 3 + n)
        at = at + 4 + n
        return kind, body, whole() ~= nil
      end
      local data, err, code = stream:read(nil, timeout)
      if not data then
        if not code and at <= #buf then return nil, "the stream ended within a frame", "XK_EPROTO" end
        return nil, err, code
      end
      buf, at = buf:sub(at) .. data, 1
    end
  end
end

return M
