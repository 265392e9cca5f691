-- Uses a disk and a network at once, for as long as it runs, and tells in the store how far it is: each byte of the disk
-- is checked, of the network that echoes come back.
local task = require "xenkit.task"

local BLOCK, BLOCKS = 8192, 64

local function block(i, round) return (("%08d%08d"):format(i, round)):rep(BLOCK // 16) end

return {
  summary = "Uses a disk and a network.",
  params = { { "to", default = "10.9.0.1", help = "whose echoes are asked for" } },
  start = function(ctx)
    local store, disk, net = ctx.store, ctx.disk.xvda, ctx.net[0]
    local function tell(name, value) store:write("data/" .. name, value) end
    local function network()
      tell("address", net:up(20) or "none")
      local pongs, lost = 0, 0
      while true do
        if net:ping(ctx.params.to, 0.5, 1400) then pongs = pongs + 1 else lost = lost + 1 end
        tell("pongs", pongs)
        tell("lost", lost)
        task.sleep(0.05)
      end
    end
    task.spawn(network)
    assert(disk:wait(20))
    local wrong, round = 0, 0
    while not ctx.stopping() do
      round = round + 1
      for i = 0, BLOCKS - 1 do
        local ok, err, code = disk:write(i * BLOCK, block(i, round))
        if not ok then return tell("error", code .. " " .. err) end
      end
      assert(disk:flush())
      local back, err, code = disk:read(0, BLOCK * BLOCKS)
      if not back then return tell("error", code .. " " .. err) end
      for i = 0, BLOCKS - 1 do
        if back:sub(i * BLOCK + 1, (i + 1) * BLOCK) ~= block(i, round) then wrong = wrong + 1 end
      end
      tell("wrong", wrong)
      tell("round", round)
      task.sleep(0.01)
    end
  end,
}
