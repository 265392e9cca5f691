--- What errors say and how they travel: messages with the names of variables, positions and levels, error objects,
-- handlers, errors in handlers, overflows caught.
return function(t)
  local err = t.err

  -- The names of things (chunks keep their debug information here; the source is compiled in place).
  t("local a a.x = 1", err "attempt to index a nil value (local 'a')")
  t("local a return a.x", err "attempt to index a nil value (local 'a')")
  t("aaa.x = 1", err "attempt to index a nil value (global 'aaa')")
  t("aaa.x.y = 1", err "attempt to index a nil value (global 'aaa')")
  t("a = {} a.b.c = 1", err "attempt to index a nil value (field 'b')")
  t("local a = {b = {}} return a.b.c.d", err "attempt to index a nil value (field 'c')")
  t("local a = {} return a[1].x", err "attempt to index a nil value (field 'integer index')")
  t("local a, i = {}, 'k' return a[i].x", err "attempt to index a nil value (field '?')")
  t("local a = {} return a['k k'].x", err "attempt to index a nil value (field 'k k')")
  t("local a return (function() return a.x end)()", err "attempt to index a nil value (upvalue 'a')")
  t("local a return (function() a.x = 1 end)()", err "attempt to index a nil value (upvalue 'a')")
  t("local f = function() return {} end return f().x.y", err "attempt to index a nil value (field 'x')")
  t("(5).x.y = 1", err "attempt to index a number value")
  t("return (nil).x", err "attempt to index a nil value")
  t("return (true).x", err "attempt to index a boolean value")
  t("local a = true a[1] = 1", err "attempt to index a boolean value (local 'a')")
  t("return print.x", err "attempt to index a function value (global 'print')")
  t("return string.rep.x", err "attempt to index a function value (field 'rep')")
  t("aaa()", err "attempt to call a nil value (global 'aaa')")
  t("local a a()", err "attempt to call a nil value (local 'a')")
  t("local a = {} a.b()", err "attempt to call a nil value (field 'b')")
  t("local a = {} a:b()", err "attempt to call a nil value (method 'b')")
  t("local a = {b = {}} a.b:c(1, 2)", err "attempt to call a nil value (method 'c')")
  t("local a return (function() a() end)()", err "attempt to call a nil value (upvalue 'a')")
  t("('x')()", err "attempt to call a string value (constant 'x')")
  t("(1)()", err "attempt to call a number value")
  t("({})()", err "attempt to call a table value")
  t("local a = 'text' a()", err "attempt to call a string value (local 'a')")
  t("string.nosuch()", err "attempt to call a nil value (field 'nosuch')")
  t("local a = {} return a.b.c()", err "attempt to index a nil value (field 'b')")
  t("math.floor.x()", err "attempt to index a function value (field 'floor')")
  t("return aaa + 1", err "attempt to perform arithmetic on a nil value (global 'aaa')")
  t("local a = {} return a + 1", err "attempt to perform arithmetic on a table value (local 'a')")
  t("local a = {} return 1 + a", err "attempt to perform arithmetic on a table value (local 'a')")
  t("local a = {} return a.x * 2", err "attempt to perform arithmetic on a nil value (field 'x')")
  t("local a = {} return a.x // a.y", err "attempt to perform arithmetic on a nil value (field 'x')")
  t("local a = {x = 1} return a.x // a.y", err "attempt to perform arithmetic on a nil value (field 'y')")
  t("local a = true return -a", err "attempt to perform arithmetic on a boolean value (local 'a')")
  t("return {} - 1", err "attempt to perform arithmetic on a table value")
  t("return 2 ^ {}", err "attempt to perform arithmetic on a table value")
  t("return print % 2", err "attempt to perform arithmetic on a function value (global 'print')")
  t("return nil + nil", err "attempt to perform arithmetic on a nil value")
  t("local a return (function() return a + 1 end)()", err "attempt to perform arithmetic on a nil value (upvalue 'a')")
  t("return aaa | 1", err "attempt to perform bitwise operation on a nil value (global 'aaa')")
  t("local a = {} return 1 << a", err "attempt to perform bitwise operation on a table value (local 'a')")
  t("local a = {} return ~a", err "attempt to perform bitwise operation on a table value (local 'a')")
  t("local a = 'x' return a & 1", err "attempt to perform bitwise operation on a string value (local 'a')")
  t("return 1.5 & {}", err "attempt to perform bitwise operation on a table value")
  t("return 2^53 & 1.5", err "number has no integer representation")
  t("local a = 1.5 return 1 ~ a", err "number (local 'a') has no integer representation")
  t("local a = {x = 2.5} return a.x >> 1", err "number (field 'x') has no integer representation")
  t("return 'a' .. aaa", err "attempt to concatenate a nil value (global 'aaa')")
  t("local a = {} return a .. 'x'", err "attempt to concatenate a table value (local 'a')")
  t("local a = {} return 'x' .. a.b", err "attempt to concatenate a nil value (field 'b')")
  t("return 1 .. {} .. 2", err "attempt to concatenate a table value")
  t("local a return (function() return a .. '' end)()", err "attempt to concatenate a nil value (upvalue 'a')")
  t("return #aaa", err "attempt to get length of a nil value (global 'aaa')")
  t("local a = 5 return #a", err "attempt to get length of a number value (local 'a')")
  t("return #print", err "attempt to get length of a function value (global 'print')")
  t("local a = {} return #a.b", err "attempt to get length of a nil value (field 'b')")
  t("return 1 < 'x'", err "attempt to compare number with string")
  t("return 'x' <= 1", err "attempt to compare string with number")
  t("return {} < {}", err "attempt to compare two table values")
  t("return nil > 1", err "attempt to compare number with nil")
  t("return nil < nil", err "attempt to compare two nil values")
  t("return true < false", err "attempt to compare two boolean values")
  t("return {} >= 1", err "attempt to compare number with table")
  t("return print < print", err "attempt to compare two function values")
  t("return 1 < {}", err "attempt to compare number with table")
  t("return {} <= 5", err "attempt to compare table with number")
  t("return coroutine.create(print) < 1", err "attempt to compare thread with number")
  t("local t = {} t[nil] = 1", err "table index is nil")
  t("local t = {} t[0/0] = 1", err "table index is NaN")
  t("local _ENV = {} x.y = 1", err "attempt to index a nil value (global 'x')")
  t("local _ENV = nil x = 1", err "attempt to index a nil value (local '_ENV')")

  t("local a <const> = nil return a.x", err "attempt to index a nil value")
  t("local a <const> = 'k' return ({})[a].x", err "attempt to index a nil value (field 'k')")

  -- bad arguments: functions are named as the call names them.
  t("string.rep()", err "bad argument #1 to 'rep' (string expected, got no value)")
  t("string.rep('x', {})", err "bad argument #2 to 'rep' (number expected, got table)")
  t("('x'):rep({})", err "bad argument #1 to 'rep' (number expected, got table)")
  t("('x'):rep('y')", err "bad argument #1 to 'rep' (number expected, got string)")
  t("local f = string.rep f()", err "bad argument #1 to 'f' (string expected, got no value)")
  t("local o = {m = string.rep} o.m()", err "bad argument #1 to 'm' (string expected, got no value)")
  t("local o = {m = string.rep} o:m()", err "calling 'm' on bad self (string expected, got table)")
  t("local o = {m = math.floor} o:m()", err "calling 'm' on bad self (number expected, got table)")
  t("pcall(string.rep)", false, "bad argument #1 to 'string.rep' (string expected, got no value)")
  t("pcall(setmetatable, 1)", false, "bad argument #1 to 'setmetatable' (table expected, got number)")
  t("pcall(math.floor, {})", false, "bad argument #1 to 'math.floor' (number expected, got table)")
  t("(function() return setmetatable(1) end)()", err "bad argument #1 to 'setmetatable' (table expected, got number)")
  t("math.floor(nil)", err "bad argument #1 to 'floor' (number expected, got nil)")
  t("math.floor(print)", err "bad argument #1 to 'floor' (number expected, got function)")
  t("math.floor(true)", err "bad argument #1 to 'floor' (number expected, got boolean)")
  t("math.floor(coroutine.create(print))", err "bad argument #1 to 'floor' (number expected, got thread)")
  t("for _ in ipairs(nil) do end", err "attempt to index a nil value")
  t("for _ in next, nil do end", err "bad argument #1 to 'for iterator' (table expected, got nil)")
  t("setmetatable({}, {__index = string.rep}).x", err "bad argument #1 to 'index' (string expected, got table)")
  t("setmetatable({}, {__add = string.rep}) + 1", err "bad argument #1 to 'add' (string expected, got table)")

  -- Positions: chunk, line, level.
  local function message(source, ...)
    local f = assert(load(source, "=c"))
    return select(2, pcall(f, ...))
  end
  local function positioned(source, want) t("position: " .. source, want, function() return message(source) end) end
  positioned("error('m')", "c:1: m")
  positioned("\n\nerror('m')", "c:3: m")
  positioned("error('m', 0)", "m")
  positioned("error('m', 1)", "c:1: m")
  positioned("local function f()\n error('m', 2)\nend\nf()", "c:4: m")
  positioned("local function f()\n error('m', 1)\nend\nf()", "c:2: m")
  positioned("local function g()\n error('m', 3)\nend\nlocal function f()\n g()\nend\n\nf()", "c:8: m")
  positioned("error('m', 50)", "m")
  positioned("local x = nil\nx.y = 1", "c:2: attempt to index a nil value (local 'x')")
  positioned("local a = {}\nlocal b = 1 +\n  a", "c:2: attempt to perform arithmetic on a table value (local 'a')")
  positioned("local a\n=\n{}\n\na.b.c = 1", "c:5: attempt to index a nil value (field 'b')")
  positioned("return\n\n1 ..\n{}", "c:3: attempt to concatenate a table value")
  positioned("f\n(\n1\n)", "c:1: attempt to call a nil value (global 'f')")
  positioned("string.rep(\n\n)", "c:1: bad argument #1 to 'rep' (string expected, got no value)")
  positioned("for i = 1,\n 'x' do\nend", "c:2: bad 'for' limit (number expected, got string)")
  positioned("local function f() return 1 + nil end\n\nlocal x = f()\n",
    "c:1: attempt to perform arithmetic on a nil value")
  positioned("local t = setmetatable({}, {__index = function(_, k)\n error(k)\n end})\nreturn t.key", "c:2: key")
  positioned("local x = (function(...) error(..., 2) end)('m')", "c:1: m")
  positioned("return (function(...) error(..., 2) end)('m')", "m") -- a tail call leaves no level to point at
  positioned("assert(false, 'm')", "c:1: m")
  positioned("assert(nil)", "c:1: assertion failed!")
  positioned("local _ <close> = 1", "c:1: variable '_' got a non-closable value")
  positioned("goto a ::a:: error('x')", "c:1: x")

  t("tables get no position", {code = 5}, function() return message("error({code = 5})") end)
  t("numbers get none either", 5, function() return message("error(5)") end)
  t("position in a function of another chunk", "inner:1: m", function()
    return select(2, pcall(load("local f = ... f()", "=outer"), load("error('m')", "=inner")))
  end)
  t("level 2 crosses chunks", "outer:2: m", function()
    local inner = load("return function() error('m', 2) end", "=inner")()
    return select(2, pcall(load("local f = ...\nf()", "=outer"), inner))
  end)

  -- How chunks are named in messages.
  local function named(name, want)
    t("chunk named " .. name:gsub("%c", "?"):sub(1, 30), want, function()
      return (select(2, pcall(load("error('m')", name))):gsub(": m$", ""))
    end)
  end
  named("=plain", "plain:1")
  named("@file.lua", "file.lua:1")
  named("code", '[string "code"]:1')
  named("two\nlines", '[string "two..."]:1')
  named("=" .. ("x"):rep(80), ("x"):rep(59) .. ":1")
  named("@" .. ("y"):rep(80), "..." .. ("y"):rep(56) .. ":1")
  named(("z"):rep(80), '[string "' .. ("z"):rep(45) .. '..."]:1')
  named("", '[string ""]:1')
  named("=", ":1")
  named("@", ":1")
  named("\nfirst line empty", '[string "..."]:1')
  t("a chunk without a name is named after itself", '[string "error(\'m\')"]:1: m', function()
    return select(2, pcall(load("error('m')")))
  end)
  t("a chunk read by a function", "(load):1: m", function()
    local parts = {"error(", "'m')"}
    return select(2, pcall(load(function() return table.remove(parts, 1) end)))
  end)

  -- Error objects travel untouched.
  t("objects of all types", true, true, true, true, true, nil, function()
    local list = {{}, print, coroutine.create(print), 42, true}
    local out = {}
    for i, e in ipairs(list) do out[i] = select(2, pcall(error, e)) == e end
    return out[1], out[2], out[3], out[4], out[5], select(2, pcall(error, nil))
  end)
  t("an object with __tostring", "E!", function()
    return tostring(select(2, pcall(error, setmetatable({}, {__tostring = function() return "E!" end}))))
  end)
  t("rethrown twice", true, function()
    local e = {}
    local _, got = pcall(function()
      local _, first = pcall(error, e)
      error(first)
    end)
    return got == e
  end)
  t("rethrown text gains a position each time", "c:2: c:1: m", function()
    return message("local _, m = pcall(load('error(\"m\")', '=c'))\nerror(m)")
  end)
  t("the numbers of results", 2, 2, 1, 3, function()
    return select("#", pcall(error)), select("#", pcall(error, 1, 2)), select("#", pcall(function() end)),
      select("#", pcall(function() return nil, nil end))
  end)

  -- Handlers.
  t("the handler sees the stack of the error", true, function()
    local _, trace = xpcall(load("local function culprit() error('x') end culprit()"), debug.traceback)
    return trace:find("culprit", 1, true) ~= nil and trace:find("stack traceback:\n", 1, true) ~= nil
  end)
  t("a handler for runtime errors", false, "H: attempt to call a nil value (global 'nosuch')", function()
    local ok, m = xpcall(load("nosuch()", "=c"), function(m) return "H: " .. m:gsub("^c:1: ", "") end)
    return ok, m
  end)
  t("a handler is given the object", false, 7, function()
    return xpcall(function() error({v = 7}) end, function(e) return e.v end)
  end)
  t("a handler may give nothing", false, nil, function() return xpcall(error, function() end) end)
  t("only the first result counts", false, 1, function()
    return xpcall(error, function() return 1, 2, 3 end)
  end)
  t("handlers nest", false, "outer(inner(e))", function()
    return xpcall(function()
      local _, m = xpcall(error, function(e) return "inner(" .. e .. ")" end, "e", 0)
      error(m, 0)
    end, function(e) return "outer(" .. e .. ")" end)
  end)
  t("a pcall within hides the handler", true, "caught", function()
    return xpcall(function()
      local ok = pcall(error, "x")
      return ok and "no" or "caught"
    end, function() return "handler" end)
  end)
  t("an error in the handler is handed to it, too", false, "second e", function()
    local n = 0
    return xpcall(error, function(e)
      n = n + 1
      if n == 1 then error("second " .. e, 0) end
      return e
    end, "e", 0)
  end)
  t("a handler that always fails ends", false, "string", function()
    local ok, m = xpcall(error, function() error("again") end, "e")
    return ok, type(m)
  end)
  t("error as a handler", false, true, function()
    local ok, m = xpcall(error, error, "e")
    return ok, m == "e" or type(m) == "string" or m == nil
  end)
  t("after it, everything works", true, 3, function() return pcall(function() return 1 + 2 end) end)

  -- Overflows. Plain recursion would take the 200 C levels' place only with 16 MB of Lua stack (see the theme
  -- `memory`, which is not run by default); recursion through C is stopped by the C limit, cheaply.
  local function overflow(name, body)
    t("endless recursion by " .. name, false, true, true, function()
      local depth = 0
      local function down(...)
        depth = depth + 1
        return body(down, ...)
      end
      local ok, m = pcall(down)
      return ok, tostring(m):find("C stack overflow", 1, true) ~= nil, depth > 50 and depth < 250
    end)
  end
  overflow("pcall", function(down)
    local ok, m = pcall(down)
    if not ok then error(m, 0) end
  end)
  overflow("gsub", function(down) return (("x"):gsub("x", down)) end)
  overflow("sort", function(down) table.sort({1, 2, 3}, down) end)
  overflow("load", function(down)
    local f, m = load(down)
    if not f then error(m, 0) end
  end)
  overflow("tostring", function(down) return tostring(setmetatable({}, {__tostring = down})) end)
  overflow("__index from C", function(down)
    return table.concat(setmetatable({}, {__index = function() return down() end, __len = function() return 1 end}))
  end)
  overflow("require", function(down)
    package.preload["language.none"] = down
    local ok, m = pcall(require, "language.none")
    package.preload["language.none"] = nil
    if not ok then error(m, 0) end
  end)
  overflow("xpcall", function(down)
    local ok, m = xpcall(down, function(e) return e end)
    if not ok then error(m, 0) end
  end)
  overflow("__add", function(down)
    local x = setmetatable({}, {__add = function() return down() end})
    return x + x
  end)
  overflow("__close", function(down)
    local _ <close> = setmetatable({}, {__close = function(_, e) if not e then down() end end})
  end)
  t("overflow, twenty times over", 20, function()
    local n = 0
    for _ = 1, 20 do
      local function down() return (("x"):gsub("x", down)) end
      if not pcall(down) then n = n + 1 end
    end
    return n
  end)
  t("overflow in a coroutine", false, true, function()
    local function down() return (("x"):gsub("x", down)) end
    local ok, m = coroutine.resume(coroutine.create(down))
    return ok, m:find("C stack overflow", 1, true) ~= nil
  end)
  t("too many values for a stack", false, "too many results to unpack", function()
    return pcall(table.unpack, {}, 1, 1000000)
  end)
end
