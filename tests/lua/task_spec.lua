-- Tasks: results, and the end of a tree.
local ok, core = pcall(require, "xenkit.core.world")

describe("task", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local task = require "xenkit.task"

  local function run(fn)
    local world = assert(core.open(nil, "tool"))
    local results = table.pack(pcall(task.run, world, fn))
    world:close()
    assert(results[1], results[2])
    return table.unpack(results, 2, results.n)
  end

  it("gives all results, nil among them", function()
    assert.same({ n = 3, nil, "message", "XK_ENAME" }, table.pack(run(function()
      local t = task.spawn(function() return nil, "message", "XK_ENAME" end)
      return t:join()
    end)))
    assert.same({ 1, 2 }, { run(function() return task.with_timeout(1, function() return 1, 2 end) end) })
  end)

  it("cancels the children of a task that has ended but for them", function()
    run(function()
      local unwound
      local parent = task.spawn(function()
        task.spawn(function()
          local _ <close> = setmetatable({}, { __close = function() unwound = true end })
          task.sleep(3600)
        end)
      end)
      task.sleep(0.01)
      parent:cancel()
      parent:join(1)
      assert.is_true(parent.done)
      assert.is_true(unwound)
    end)
  end)

  it("is not asked for rounds that concern it not", function()
    local world = assert(core.open(nil, "tool"))
    local nobody, mine, fired = world:timer(), world:timer(), {}
    local function start()
      nobody:start(world:now() + 0.005, 0)
      mine:start(world:now() + 0.05, 7)
    end
    start()
    assert.equals(1, world:run(nil, fired))
    assert.equals(7, fired[1])
    start()
    assert.equals(0, world:run(5, fired)) -- with a limit: one round, as ever
    assert.equals(1, world:run(5, fired))
    start()
    debug.sethook(function() end, "", 1000000) -- Lua has to run, or it would never be called
    local count = world:run(nil, fired)
    debug.sethook()
    world:close()
    assert.equals(0, count)
  end)
end)
