-- Which stores are started again, and when a keeper gives up: processes that never were, in a private world.
local core_stream = require "xenkit.core.stream"
local core_world = require "xenkit.core.world"
local keeper = require "xenkit.host.store_keeper"
local task = require "xenkit.task"

-- Runs `fn(keeper, state)`; `state.made` counts processes, `state.serve` makes each say that it is ready.
local function with(fn, more)
  local world, dir = core_world.open(), os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir " .. dir))
  local state = { made = 0, events = {} }
  local ops = {
    world = world, dir = dir, hurry = 0.01,
    make = function(handles)
      if state.refuse then return nil, "no process can be had", "XK_EAGAIN" end
      state.made = state.made + 1
      if state.serve then
        handles[1][3] = nil -- stays open here
        state.theirs = assert(core_stream.from_handle(world, handles[1][2]))
        state.theirs:write("ready\n")
      end
      return true
    end,
    event = function(kind, text) state.events[#state.events + 1] = kind .. " " .. text end,
  }
  for k, v in pairs(more or {}) do ops[k] = v end
  local result
  task.run(world, function()
    local k = keeper.new(ops)
    assert(k:start())
    result = table.pack(pcall(fn, k, state, dir))
    k.talk:close()
  end)
  world:close()
  os.execute("rm -r " .. dir)
  if not result[1] then error(result[2], 0) end
end

-- A process lives for a moment and ends.
local function die(k, exit_code)
  task.sleep(0.001)
  return k:crashed(exit_code)
end

local function until_ready(k)
  for _ = 1, 1000 do
    if k.ready then return end
    task.sleep(0.001)
  end
  error "never ready"
end

describe("the keeper of a store", function()
  it("gives up five that end by themselves, with their last words", function()
    with(function(k, state, dir)
      local f = assert(io.open(dir .. "/stderr.log", "w"))
      f:write("store: the journal is damaged at byte 12\n")
      f:close()
      for _ = 1, 4 do assert.is_true(die(k, 2)) end
      local ok, err = die(k, 2)
      assert.is_nil(ok)
      assert.equal("5 processes of it ended before they served anybody, the last with exit code 2: " ..
        "store: the journal is damaged at byte 12", err)
      assert.equal(5, state.made)
      assert.equal("restart exit code 2; its journal goes on", state.events[4])
    end)
  end)

  it("tries longer with those that are killed, with pauses that grow", function()
    with(function(k, state)
      local times = {}
      for i = 1, 11 do
        local began = k.world:now() + 0.001
        assert.is_true(die(k, 137))
        times[i] = k.world:now() - began
      end
      for i = 1, 11 do assert.is_true(times[i] >= math.min(0.001 * 2 ^ (i - 1), 0.02)) end
      assert.is_true(times[11] < 0.5)
      local ok, err = die(k, 137)
      assert.is_nil(ok)
      assert.truthy(err:find("12 processes of it ended before they served anybody, the last with signal 9", 1, true))
      assert.equal(12, state.made)
    end)
  end)

  it("begins to count anew when one served", function()
    with(function(k, state)
      for _ = 1, 13 do
        state.serve = false
        for _ = 1, 4 do assert.is_true(die(k, 2)) end
        state.serve = true
        assert.is_true(die(k, 137)) -- dies before it serves, the next one serves
        until_ready(k)
        assert.is_true(die(k, 137))
        until_ready(k)
        state.serve = false
        assert.is_true(die(k, 137))
      end
    end)
  end)

  it("passes on what forbids a new process, and that there is no journal", function()
    with(function(k, state)
      state.refuse = true
      assert.same({ nil, "no process can be had", "XK_EAGAIN" }, { die(k, 139) })
    end)
    with(function(k, state)
      assert.same({ nil, "exit code 3, and it kept no journal" }, { die(k, 3) })
      assert.equal(1, state.made)
    end, { forgets = true })
  end)

  -- The fourth process would live for a minute; SIGTERM comes while the keeper waits before it.
  it("ends by SIGTERM while it waits, with the process that it was about to start", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(os.execute("mkdir " .. dir))
    local f = assert(io.open(dir .. "/keep.lua", "w"))
    f:write(([[
      local host = require "xenkit.core.host"
      local script = "echo x >> %s/n; [ $(wc -l < %s/n) = 4 ] && exec sleep 60; kill -9 $$"
      os.exit(require("xenkit.cli.keep").run(assert(host.open("/bin/sh", "r")), { "sh", "-c", script }, {}))
    ]]):format(dir, dir))
    f:close()
    local command = ("LUA_PATH='%s' LUA_CPATH='%s' XENKIT_RUNTIME_DIR=%s timeout --preserve-status -k 4 0.6 " ..
      "lua5.4 %s/keep.lua 2> /dev/null"):format(package.path, package.cpath, dir, dir)
    local _, how, code = os.execute(command)
    os.execute("rm -r " .. dir)
    assert.same({ "exit", 0 }, { how, code })
  end)
end)
