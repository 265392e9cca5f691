-- Frames of requests and answers: each is a table, or the reader says why it stops; it never takes a byte too many.
local rpc = require "xenkit.rpc"

local function stream_of(bytes)
  local at = 1
  return {
    read_exactly = function(_, n)
      assert(n >= 0 and n <= 1 << 20)
      if at + n - 1 > #bytes then return nil, "end of stream", "XK_ECLOSED" end
      local s = bytes:sub(at, at + n - 1)
      at = at + n
      return s
    end,
    left = function() return #bytes - at + 1 end,
  }
end

return function(bytes)
  local s = stream_of(bytes)
  while true do
    local before = s.left()
    local message, err, code = rpc.receive(s)
    if not message then
      assert(type(err) == "string" and (code == "XK_EPROTO" or code == "XK_ECLOSED"), tostring(err))
      return
    end
    assert(type(message) == "table" and s.left() < before)
    local sent
    local ok = rpc.send({ write = function(_, text) sent = text return #text end }, message)
    assert(ok and rpc.receive(stream_of(sent)))
  end
end
