-- Bytes that a sender or a log domain may send: frames are taken or end the stream; a record that is taken can be shown
-- as a line and as JSON; what a sender says makes received + lost its last number.
local book = require "xenkit.log.book"
local format = require "xenkit.log.format"
local intake = require "xenkit.log.intake"
local json = require "xenkit.json"
local wire = require "xenkit.log.wire"

local function stream_of(bytes)
  local at = 1
  return { read = function()
    if at > #bytes then return nil, "end of stream" end
    local n = 1 + (bytes:byte(at) or 0) % 60
    at = at + n
    return bytes:sub(at - n, at - 1)
  end }
end

local function shown(bytes)
  local r = wire.stamped(bytes)
  if not r then return end
  assert(not format.line(r):find("[%c\127]"))
  assert(utf8.len(format.line(r)))
  assert(json.decode(format.json(r)))
end

return function(bytes)
  local b = book.new { records = 20 }
  local s = intake.new(b, b:log(1, "x"), function() return 1e9 end)
  local next_frame = wire.frames(stream_of(bytes), 8192)
  shown(bytes)
  while true do
    local kind, body, code = next_frame()
    if not kind then
      assert(code == nil and body == "end of stream" or code == "XK_EPROTO", tostring(body))
      break
    end
    if kind == "R" then
      s:record(body)
      shown(wire.stamp(3, 1, 1e9, 7, "d", body))
    elseif kind == "A" and #body == 8 then
      s:reached((("<I8"):unpack(body)))
    elseif kind == "H" then
      s:hello(1 + #body, { body })
    elseif kind == "B" then
      s:ended { body }
    end
    assert(s.received + s.lost == s.seq and s.seq >= 0 and b.records <= 20)
  end
end
