-- A domain that speaks nonsense to the log domain, for tests/e2e/log.sh: no frames, hellos that promise rings that are
-- not there, numbers that jump, another's name, a query without the right, more streams than it may have.
local flow = require "xenkit.flow"
local json = require "xenkit.json"
local task = require "xenkit.task"
local wire = require "xenkit.log.wire"

local function hello(words) return wire.frame("H", json.encode(words)) end
local function record(seq) return wire.record(seq, 0, 0, 2, "", "a lie", { domain = "log", name = "t" }) end

local function lies()
  return {
    "\255\255\255\255", "\0\0\0\0", ("x"):rep(100), wire.frame("H", "{"), wire.frame("H", "[1]"),
    wire.frame("R", record(1)),
    hello { next = 0, life = "a" }, hello { next = 1 << 53, life = "a" }, hello { next = 1, life = 7 },
    hello { next = 1, life = "b", ring = { 9, 10, 11, 12 } } .. wire.frame("R", "no record"),
    hello { next = 1, life = "c", ring = { "x" } }, hello { next = 1, life = "c", ring = { -1, 1 << 40 } },
    hello { next = 1, life = "d", ring = {}, rules = { level = 7, sources = "x" } } ..
      wire.frame("R", record(1 << 40)) .. wire.frame("R", record(3)) .. wire.frame("A", ("<i8"):pack(-1)),
    hello { next = 1, life = "e" } .. wire.frame("A", "short"),
    wire.frame("Q", json.encode { op = "set_level", level = "off" }), wire.frame("Q", json.encode { op = "x" }),
  }
end

return {
  summary = "Lies to the log domain.",
  start = function(ctx)
    task.sleep(0.3)
    for _, text in ipairs(lies()) do
      local s <close> = assert(flow.connect(ctx, "log", 5))
      s:write(text, 1)
      task.sleep(0.01)
    end
    local streams = {}
    for i = 1, 40 do
      local s = flow.connect(ctx, "log", 1)
      if not s then break end
      streams[#streams + 1] = s
      s:write(hello { next = 1, life = "many" .. i }, 1)
    end
    print("liar: done with " .. #streams)
    for _, s in ipairs(streams) do s:close() end
    task.sleep(60)
  end,
}
