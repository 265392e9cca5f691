-- A front end of four queues that says how flows are to be spread over them: asks each of eight addresses for echoes, and looks
-- over which queue its answers come. What is right is computed here once more, from netif.h's definition.
local net = require "xenkit.net"
local task = require "xenkit.task"

local KEY = ("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
  :gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)
local MAP = { 0, 1, 2, 3, 3, 2, 1, 0 }

local function toeplitz(data)
  local value, bits = 0, 0
  local window = string.unpack(">I4", KEY)
  for i = 1, #data do
    for bit = 7, 0, -1 do
      if data:byte(i) >> bit & 1 == 1 then value = value ~ window end
      local next_bit = KEY:byte(5 + bits // 8) >> (7 - bits % 8) & 1
      window, bits = (window << 1 | next_bit) & 0xffffffff, bits + 1
    end
  end
  return value
end

local function bytes_of(address) return (address:gsub("(%d+)%.?", function(n) return string.char(n) end)) end

return {
  summary = "Says how flows are spread, and looks whether they are.",
  params = { { "own", default = "10.7.0.50", help = "its address" }, { "net", default = "10.7.0.", help = "the others'" } },
  start = function(ctx)
    local function tell(name, value) ctx.store:write("data/" .. name, value) end
    local own = ctx.params.own
    local lan = assert(net.front(ctx, "device/vif/0", { address = own .. "/24", queues = 4, keep = true,
      hash = { key = KEY, map = MAP } }))
    assert(lan:up(20))
    while lan.device:stats().hash == "XK_EAGAIN" or lan.device:stats().keep == "XK_EAGAIN" do task.sleep(0.05) end
    local right, wrong, seen = 0, 0, {}
    for n = 11, 18 do
      local other = ctx.params.net .. n
      for _ = 1, 20 do if lan:ping(other, 0.5) then break end end
      for _ = 1, 4 do
        local before = lan.device:stats().received
        local came, want = lan:ping(other, 2), MAP[toeplitz(bytes_of(other) .. bytes_of(own)) % #MAP + 1]
        local after = lan.device:stats().received
        if came and after[want + 1] > before[want + 1] then right = right + 1 else wrong = wrong + 1 end
        seen[want] = true
      end
    end
    local n = 0
    for _ in pairs(seen) do n = n + 1 end
    local s = lan.device:stats()
    tell("hashed", s.hashed)
    tell("queues", ("%d queues, hash %s, keep %s %d, %d right, %d wrong, over %d"):format(s.queues, s.hash, s.keep, s.kept,
      right, wrong, n))
    return task.sleep(100000)
  end,
}
