-- Writes numbered blocks to its disk and reads them back, for as long as it runs; tells in the store how far it is.
local block = require "xenkit.block"
local task = require "xenkit.task"

local BLOCK, BLOCKS, WRITERS = 8192, 128, 32

local function bytes(i, round) return (("%08d%08d"):format(i, round)):rep(BLOCK // 16) end

-- Many at a time, so that all rings of a disk have some. @return true, or nil, message, code
local function write_all(disk, round)
  local writers = {}
  for w = 1, WRITERS do
    writers[w] = task.spawn(function()
      for i = w - 1, BLOCKS - 1, WRITERS do
        local ok, err, code = disk:write(i * BLOCK, bytes(i, round))
        if not ok then return nil, err, code end
      end
      return true
    end)
  end
  for w = 1, WRITERS do
    local ok, err, code = writers[w]:join()
    if not ok then return nil, err, code end
  end
  return true
end

return {
  summary = "Uses a disk.",
  params = {
    { "readonly", type = "boolean", default = false, help = "writes are to be refused" },
    { "pause", type = "number", default = 0, min = 0, max = 10, help = "seconds between two rounds" },
    { "queues", type = "integer", default = 0, min = 0, max = 4, help = "rings of xvda; 0: as the description says" },
  },
  start = function(ctx)
    local store, n = ctx.store, ctx.params.queues
    local disk = n > 0 and assert(block.front(ctx, "device/vbd/" .. block.number_of "xvda", { queues = n }))
      or ctx.disk.data or ctx.disk.xvda
    local function tell(name, value) store:write("data/" .. name, value) end
    local function fail(err, code)
      tell("error", code .. " " .. err)
      ctx.log("error", code .. " " .. err)
      return 1
    end
    local ok, err, code = disk:wait(5)
    tell("connected", ok and "yes" or code)
    if not ok then return 1 end
    local info = disk:info()
    tell("bytes", info.bytes)
    if ctx.params.readonly then
      local _, e, c = disk:write(0, ("x"):rep(512)) -- luacheck: ignore
      tell("write", c .. " " .. e)
      tell("read", disk:read(0, 512):sub(1, 8))
      return task.sleep(1000)
    end
    local wrong, round = 0, 0
    while not ctx.stopping() do
      round = round + 1
      ok, err, code = write_all(disk, round)
      if not ok then return fail(err, code) end
      assert(disk:flush())
      local back
      back, err, code = disk:read(0, BLOCK * BLOCKS)
      if not back then return fail(err, code) end
      for i = 0, BLOCKS - 1 do
        if back:sub(i * BLOCK + 1, (i + 1) * BLOCK) ~= bytes(i, round) then wrong = wrong + 1 end
      end
      tell("wrong", wrong)
      local rings = disk:stats()
      if rings then tell("queues", rings.queues) end -- none between two back ends
      tell("round", round)
      if ctx.params.pause > 0 then task.sleep(ctx.params.pause) end
    end
  end,
}
