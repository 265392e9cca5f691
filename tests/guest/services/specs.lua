-- Runs the busted specs of the pure Lua modules in a domain: describe, it and pending are here, the assertions are
-- luassert's own. Prints a line a test, the same on every ground.
local SPECS = { "args", "json", "lineedit", "pretty", "scaling" }

local function run_spec(name, text, out, counts)
  local path = {}
  local function describe(title, fn)
    path[#path + 1] = title
    fn()
    path[#path] = nil
  end
  local function it(title, fn)
    local ok, err = pcall(fn)
    local skipped = not ok and type(err) == "table" and err.pending
    counts[ok and "passed" or skipped and "skipped" or "failed"] = counts[ok and "passed" or skipped and "skipped" or
      "failed"] + 1
    if skipped then return end -- it lacks something of the host
    path[#path + 1] = title
    out((ok and "ok " or "not ok ") .. name .. ": " .. table.concat(path, " "):gsub("%c", "?"))
    path[#path] = nil
    if not ok then out("  " .. tostring(err):gsub("\n.*", "")) end
  end
  local env = setmetatable({ describe = describe, it = it, assert = require "luassert",
    pending = function(why) error({ pending = why }, 0) end,
    os = setmetatable({ execute = function() return nil end }, { __index = os }),
  }, { __index = _G })
  assert(load(text, "@" .. name .. "_spec.lua", "t", env))()
end

return {
  summary = "The specs of the pure Lua modules, on this ground.",
  params = { { "luassert", default = "/usr/share/lua/5.4/luassert" }, { "say", default = "/usr/share/lua/5.4/say" } },
  needs = { lib = { luassert = "$luassert", say = "$say" }, text = { args = "tests/lua/args_spec.lua",
    json = "tests/lua/json_spec.lua", lineedit = "tests/lua/lineedit_spec.lua", pretty = "tests/lua/pretty_spec.lua",
    scaling = "tests/lua/scaling_spec.lua" } },
  start = function(ctx)
    rawset(_G, "io", { type = function() end }) -- luassert asks whether it may colour
    local counts = { passed = 0, failed = 0, skipped = 0 }
    for _, name in ipairs(SPECS) do run_spec(name, ctx.text[name], print, counts) end
    print(("specs: %d passed, %d failed"):format(counts.passed, counts.failed))
    return counts.failed == 0 and counts.passed > 0 and 0 or 1
  end,
}
