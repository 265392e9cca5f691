-- Pretty printing: order, layout, caps, harmlessness.
local pretty = require("xenkit.pretty")

describe("pretty.format", function()
  local cyclic = {name = "a"}
  cyclic.self = cyclic
  cyclic.list = {cyclic}
  local named = setmetatable({x = 1}, {__name = "thing"})
  local told = setmetatable({x = 1}, {__tostring = function() return "I am\27[31m told" end})
  local liar = setmetatable({}, {__tostring = function() error("no") end})
  local cases = {
    {"nil", nil}, {"true", true}, {"1", 1}, {"1.0", 1.0}, {"0.1", 0.1}, {"nan", 0 / 0}, {"-inf", -1 / 0},
    {"inf", 1 / 0},
    {"1e+100", 1e100}, {'"a"', "a"}, {'"a\\"\\\\\\n\\x1B[2J\\x00"', 'a"\\\n\27[2J\0'}, {'"é😀"', "é😀"},
    {'"\\xFFa\\xC3"', "\xFFa\xC3"}, {'"\\u{9B}x\\u{202E}"', "\u{9B}x\u{202E}"}, {"{}", {}}, {"{1, 2, 3}", {1, 2, 3}},
    {'{a = 1, b = "x"}', {b = "x", a = 1}}, {"{1, 2, x = 3}", {1, 2, x = 3}}, {"{[2] = 1}", {[2] = 1}},
    {'{["a b"] = 1, ["end"] = 2}', {["a b"] = 1, ["end"] = 2}},
    {'{[-1] = 1, [1.5] = 2, a = 3, [true] = 5, [false] = 4}', {[-1] = 1, [1.5] = 2, a = 3, [true] = 5, [false] = 4}},
    {"{list = {<cycle, 2 up>}, name = \"a\", self = <cycle, 1 up>}", cyclic}, {"<thing> {x = 1}", named},
    {"<I am\\x1B[31m told>", told}, {"<table: (its __tostring fails)>", liar}, {"{{}, {{}}}", {{}, {{}}}},
    {'{["\\x1B]0;x\\x07"] = 1}', {["\27]0;x\7"] = 1}},
  }
  for _, case in ipairs(cases) do
    it("gives " .. case[1], function()
      assert.equal(case[1], pretty.format(case[2]))
    end)
  end

  it("shows functions and userdata with their names", function()
    assert.truthy(pretty.format(print):find("^<function: "))
    assert.truthy(not io.stdout or pretty.format(io.stdout):find("^<file %(")) -- a domain has none
    assert.truthy(pretty.format(coroutine.create(print)):find("^<thread: "))
  end)

  it("does not call other metamethods", function()
    local trap = setmetatable({1}, {
      __index = function() error("index") end, __pairs = function() error("pairs") end,
      __len = function() error("len") end,
    })
    assert.equal("{1}", pretty.format(trap))
    assert.equal("{}", pretty.format(setmetatable({}, {__metatable = "locked"})))
  end)

  it("wraps at the width", function()
    assert.equal('{\n  alpha = "aaaaaaaaaa",\n  beta = {1, 2}\n}',
      pretty.format({alpha = "aaaaaaaaaa", beta = {1, 2}}, {width = 30}))
    local list = {}
    for i = 1, 12 do list[i] = i * 100 end
    assert.equal("{\n  100, 200, 300,\n  400, 500, 600,\n  700, 800, 900,\n  1000, 1100,\n  1200\n}",
      pretty.format(list, {width = 17}))
    assert.equal("{\n  {100, 200},\n  {300, 400}\n}", pretty.format({{100, 200}, {300, 400}}, {width = 20}))
    assert.equal("{{100, 200}, {300, 400}}", pretty.format({{100, 200}, {300, 400}}, {width = 24}))
  end)

  it("keeps every line within the width where items allow", function()
    math.randomseed(3, 4)
    local function value(depth)
      if depth == 0 or math.random(3) == 1 then return math.random(0, 9999) end
      local t = {}
      for i = 1, math.random(0, 8) do t[math.random(2) == 1 and i or "k" .. i] = value(depth - 1) end
      return t
    end
    for _ = 1, 200 do
      for line in pretty.format(value(4), {width = 40}):gmatch("[^\n]+") do assert.truthy(#line <= 40, line) end
    end
  end)

  it("caps depth, items, nodes and strings", function()
    assert.equal("{{{...}, 1}}", pretty.format({{{{}, 2}, 1}}, {depth = 2}))
    assert.equal("{1, 2, ... (8 more)}", pretty.format({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {items = 2}))
    assert.equal("{a = 1, ... (2 more)}", pretty.format({a = 1, b = 2, c = 3}, {items = 1}))
    assert.equal('"aaaa"... (6 more bytes)', pretty.format(("a"):rep(10), {string = 4}))
    assert.equal('"é"... (2 more bytes)', pretty.format("éé", {string = 3}))
    local wide = {}
    for i = 1, 50 do
      wide[i] = {}
      for j = 1, 50 do wide[i][j] = {j, j, j} end
    end
    local text = pretty.format(wide, {items = 1000, nodes = 100})
    assert.truthy(#text < 5000)
    assert.truthy(text:find("more)", 1, true))
  end)

  it("colours when asked", function()
    assert.equal("\27[33m1\27[0m", pretty.format(1, {colours = true}))
    assert.equal("{<k>a\27[0m = 1}", pretty.format({a = 1}, {colours = {key = "<k>"}}))
    local value = {a = {1, "x", true}, [2] = print, c = {("long"):rep(9), ("text"):rep(9), ("here"):rep(9)}}
    local plain = pretty.format(value)
    assert.equal(plain, (pretty.format(value, {colours = true}):gsub("\27%[%d*m", "")))
  end)

  it("lets no control byte through, whatever the value", function()
    math.randomseed(5, 6)
    for _ = 1, 300 do
      local bytes = {}
      for i = 1, math.random(1, 30) do bytes[i] = string.char(math.random(0, 255)) end
      local s = table.concat(bytes)
      local text = pretty.format {s, [s] = s, setmetatable({}, {__name = s}), setmetatable({}, {__tostring = function()
        return s
      end})}
      assert.falsy(text:gsub("\n", ""):find("[\0-\31\127]"))
      assert.truthy(utf8.len(text))
      for _, code in utf8.codes(text) do assert.falsy(code >= 0x80 and code < 0xA0) end
    end
  end)

  it("refuses wrong options", function()
    assert.error_matches(function() pretty.format(1, {width = "x"}) end, "option 'width'")
  end)
end)

describe("pretty.printable", function()
  it("keeps newlines and tabs, escapes the rest", function()
    assert.equal("a\n\tb\\x1B[2J\\r\\xFF\\u{202E}é", pretty.printable("a\n\tb\27[2J\r\xFF\u{202E}é"))
  end)
end)
