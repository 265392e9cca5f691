--- debug.*, as far as it is about the language: getinfo, locals, upvalues, hooks by count, line, call and return, the
-- shape of tracebacks, metatables of all types. What depends on names and lines is compiled here from text, so that it
-- holds wherever the suite's own files are kept.
return function(t)
  local err = t.err

  -- A hook of the host is put back at the end.
  local hook, mask, count = debug.gethook()
  debug.sethook()

  local function run(source, ...) return assert(load(source, "=c"))(...) end

  -- getinfo
  t("getinfo of a Lua function", "Lua", "=c", "c", 2, 4, 1, 2, false, function()
    local f = run("local up = 1\nreturn function(a, b)\n  return up\nend")
    local i = debug.getinfo(f)
    return i.what, i.source, i.short_src, i.linedefined, i.lastlinedefined, i.nups, i.nparams, i.isvararg
  end)
  t("getinfo of a C function", "C", "=[C]", "[C]", -1, -1, -1, true, 0, true, function()
    local i = debug.getinfo(rawequal)
    return i.what, i.source, i.short_src, i.linedefined, i.lastlinedefined, i.currentline, i.isvararg, i.nparams,
      i.func == rawequal
  end)
  t("getinfo of a main chunk", "main", 0, true, 0, 1, function()
    local i = debug.getinfo(load("\n\nreturn 1", "=c"))
    return i.what, i.linedefined, i.isvararg, i.nparams, i.nups
  end)
  t("getinfo of a level", "c", 3, "Lua", "f", "local", function()
    local i = run("local function f()\n\n  return (debug.getinfo(1))\nend\nreturn (f())")
    return i.short_src, i.currentline, i.what, i.name, i.namewhat
  end)
  local function names(source, ...)
    local i = run(source, ...)
    return i.name, i.namewhat
  end
  local N = "local function N() return (debug.getinfo(2, 'n')) end "
  t("a global function's name", "g", "global", function()
    local name, what = names(N .. "function g() return (N()) end local r = g() g = nil return r")
    return name, what
  end)
  t("a local function's name", "l", "local", function()
    return names(N .. "local function l() return (N()) end return (l())")
  end)
  t("a method's name", "m", "method", function()
    return names(N .. "local o = {} function o:m() return (N()) end return (o:m())")
  end)
  t("a field's name", "f", "method", function()
    return names(N .. "local o = {} function o.f() return (N()) end return (o.f(1))"), "method"
  end)
  t("an upvalue's name", "u", "upvalue", function()
    return names(N .. "local function u() return (N()) end return (function() return (u()) end)()")
  end)
  t("a metamethod's name", "add", "metamethod", function()
    return names(N .. "local o = setmetatable({}, {__add = function() return (N()) end}) return (o + 1)")
  end)
  t("__index's name", "index", "metamethod", function()
    return names(N .. "local o = setmetatable({}, {__index = function() return (N()) end}) return (o.x)")
  end)
  t("an iterator's name", "for iterator", "for iterator", function()
    return names(N .. "for x in function(_, c) if not c then return (N()) end end do return x end")
  end)
  t("no name by pcall", nil, "", function()
    return names(N .. "local _, r = pcall(function() return (N()) end) return r")
  end)
  t("__close's name", "close", "metamethod", function()
    return names(N .. [[local r
      do local x <close> = setmetatable({}, {__close = function() r = N() end}) end
      return r]])
  end)
  t("__gc's name", "__gc", "metamethod", function()
    return names(N .. [[local r
      setmetatable({}, {__gc = function() r = N() end})
      collectgarbage() collectgarbage()
      return r]])
  end)
  t("fields as asked", {"currentline"}, {"nparams", "nups"}, {"func"}, {"istailcall"}, {}, {}, function()
    local function fields(what)
      local list = {}
      for k in pairs(debug.getinfo(1, what)) do
        if k ~= "isvararg" and k ~= "name" and k ~= "namewhat" then list[#list + 1] = k end
      end
      table.sort(list)
      return list
    end
    return fields("l"), fields("u"), fields("f"), fields("t"), fields("n"), fields("")
  end)
  t("active lines", {2, 3, 5}, function()
    local f = run("return function()\n local a = 1\n a = a + 1\n\n return a\nend")
    local list = {}
    for line in pairs(debug.getinfo(f, "L").activelines) do
      if line < 6 then list[#list + 1] = line end
    end
    table.sort(list)
    return list
  end)
  t("a tail call shows", true, false, function()
    local function info() return debug.getinfo(1, "t").istailcall end
    local function tail() return info() end
    local function plain() return (info()) end
    return (tail()), (plain())
  end)
  t("debug.getinfo(1000)", nil)
  t("debug.getinfo(-1)", nil)
  t("debug.getinfo(print, '>')", err "bad argument #2 to 'getinfo' (invalid option '>')")
  t("debug.getinfo(print, 'X')", err "bad argument #2 to 'getinfo' (invalid option)")
  t("debug.getinfo('x')", err "bad argument #1 to 'getinfo' (number expected, got string)")
  t("debug.getinfo()", err "bad argument #1 to 'getinfo' (number expected, got no value)")
  t("getinfo of a coroutine", 2, "c", nil, function()
    local co = coroutine.create(load("local a = 1\ncoroutine.yield(a)", "=c"))
    coroutine.resume(co)
    return debug.getinfo(co, 1, "l").currentline, debug.getinfo(co, 1, "S").short_src, debug.getinfo(co, 2)
  end)

  -- Locals.
  t("getlocal", "a", 1, "b", "two", nil, function()
    return run([[local function f(a, b)
      local n1, v1 = debug.getlocal(1, 1)
      local n2, v2 = debug.getlocal(1, 2)
      return n1, v1, n2, v2, (debug.getlocal(1, 50))
    end
    return f(1, "two")]])
  end)
  t("varargs by negative indices", "(vararg)", 10, "(vararg)", 20, nil, function()
    return run([[local function f(...)
      local n1, v1 = debug.getlocal(1, -1)
      local n2, v2 = debug.getlocal(1, -2)
      return n1, v1, n2, v2, (debug.getlocal(1, -3))
    end
    return f(10, 20)]])
  end)
  t("parameters of a function that does not run", "x", "y", nil, function()
    local f = run("return function(x, y) local z end")
    return (debug.getlocal(f, 1)), (debug.getlocal(f, 2)), (debug.getlocal(f, 3))
  end)
  t("setlocal", "a", 5, nil, function()
    return run([[local function f(a)
      local name = debug.setlocal(1, 1, 5)
      return name, a, debug.setlocal(1, 99, 1)
    end
    return f(1)]])
  end)
  t("locals come and go with blocks", "x", nil, function()
    return run([[local function f()
      local name
      do local x = 1 name = debug.getlocal(1, 2) end
      local after = debug.getlocal(1, 2)
      return name, (after ~= "(temporary)" and after ~= "(C temporary)") and after or nil
    end
    return f()]])
  end)
  t("locals of a coroutine", "v", 7, 8, function()
    local co = coroutine.wrap(function() return 1 end)
    co()
    local thread = coroutine.create(load("local v = 7\ncoroutine.yield()\nreturn v", "=c"))
    coroutine.resume(thread)
    local name, value = debug.getlocal(thread, 1, 1)
    debug.setlocal(thread, 1, 1, 8)
    return name, value, select(2, coroutine.resume(thread))
  end)
  t("debug.getlocal(1000, 1)", err "bad argument #1 to 'getlocal' (level out of range)")
  t("debug.setlocal(1000, 1, 1)", err "bad argument #1 to 'setlocal' (level out of range)")

  -- Upvalues.
  t("getupvalue", "a", 1, "b", 2, nil, function()
    local f = run("local a, b = 1, 2 return function() return a, b end")
    local n1, v1 = debug.getupvalue(f, 1)
    local n2, v2 = debug.getupvalue(f, 2)
    return n1, v1, n2, v2, (debug.getupvalue(f, 3))
  end)
  t("the environment is an upvalue", "_ENV", true, function()
    local name, value = debug.getupvalue(load("return x"), 1)
    return name, value == _G
  end)
  t("setupvalue", "a", 10, nil, function()
    local f = run("local a = 1 return function() return a end")
    local name = debug.setupvalue(f, 1, 10)
    return name, f(), (debug.setupvalue(f, 2, 1))
  end)
  -- A deviation: for "fail" the manual promises a nil here, and there is no value at all.
  t("select('#', debug.getupvalue(rawequal, 9)), select('#', debug.setupvalue(rawequal, 9, 1))", 0, 0)
  t("upvalueid", true, false, true, nil, function()
    local f, g, h = run("local a, b = 1, 2 return function() return a, b end, function() return a end, function() end")
    return debug.upvalueid(f, 1) == debug.upvalueid(g, 1), debug.upvalueid(f, 1) == debug.upvalueid(f, 2),
      type(debug.upvalueid(f, 1)) == "userdata", debug.upvalueid(h, 1)
  end)
  t("upvaluejoin", 1, 2, 2, 5, 5, function()
    local f, g, set = run([[local a = 1
      local b = 2
      return function() return a end, function() return b end, function(x) b = x end]])
    local before, other = f(), g()
    debug.upvaluejoin(f, 1, g, 1)
    local joined = f()
    set(5)
    return before, other, joined, f(), g()
  end)
  t("debug.upvaluejoin(rawequal, 1, rawequal, 1)", err "bad argument #2 to 'upvaluejoin' (invalid upvalue index)")
  t("(debug.getupvalue(rawequal, 1)), (debug.getupvalue(string.gmatch('', ''), 3))", nil, "")
  t("debug.getupvalue(1, 1)", err "bad argument #1 to 'getupvalue' (function expected, got number)")

  -- Hooks.
  t("by line", {2, 3, 4, 2, 5}, function()
    local lines = {}
    local f = load("\nlocal n = 0\nn = n + 1\ndo local m = n end\nreturn n", "=hooked")
    debug.sethook(function(event, line)
      if event == "line" and debug.getinfo(2, "S").short_src == "hooked" then lines[#lines + 1] = line end
    end, "l")
    f()
    debug.sethook()
    table.insert(lines, 4, 2)
    return lines
  end)
  t("by line, in a loop", {1, 2, 1, 2, 1, 2, 1, 3}, function()
    local lines = {}
    local f = load("for i = 1, 3 do\nlocal x = i\nend", "=hooked")
    debug.sethook(function(_, line)
      if debug.getinfo(2, "S").short_src == "hooked" then lines[#lines + 1] = line end
    end, "l")
    f()
    debug.sethook()
    return lines
  end)
  t("by count", true, true, function()
    local hits, events = 0, true
    debug.sethook(function(event)
      hits = hits + 1
      events = events and event == "count"
    end, "", 100)
    local n = 0
    for i = 1, 10000 do n = n + i end
    debug.sethook()
    return hits >= 100 and hits <= 1000, events
  end)
  t("by count of one", true, function()
    local hits = 0
    local f = load("local a = 1 local b = a + 1 return b")
    debug.sethook(function() hits = hits + 1 end, "", 1)
    f()
    debug.sethook()
    return hits > 3
  end)
  t("by call and return", {"call f", "return f"}, function()
    local log = {}
    local f = run("local function f() return 1 end return f")
    debug.sethook(function(event)
      if debug.getinfo(2, "f").func == f then log[#log + 1] = event .. " f" end
    end, "cr")
    f()
    debug.sethook()
    return log
  end)
  t("a tail call is an event", {"call", "tail call"}, function()
    local log = {}
    local f, g = run("local function g() end local function f() return g() end return f, g")
    debug.sethook(function(event)
      local func = debug.getinfo(2, "f").func
      if func == f or func == g then log[#log + 1] = event end
    end, "c")
    f()
    debug.sethook()
    return log
  end)
  t("gethook", true, "l", 0, true, "", 50, function()
    local function h() end
    debug.sethook(h, "l")
    local a, b, c = debug.gethook()
    debug.sethook(h, "", 50)
    local d, e, f = debug.gethook()
    debug.sethook()
    return a == h, b, c, d == h, e, f
  end)
  t("(debug.gethook())", nil)
  t("a hook stops a loop without end", false, "stopped", function()
    local n = 0
    local ok, message = pcall(function()
      debug.sethook(function()
        n = n + 1
        if n > 10 then error("stopped", 0) end
      end, "", 1000)
      while true do local _ = n end -- luacheck: ignore 211
    end)
    debug.sethook()
    return ok, message
  end)
  t("a hook of a coroutine", true, 0, function()
    local mine, other = 0, 0
    local co = coroutine.create(function() for _ = 1, 1000 do mine = mine + 0 end end)
    debug.sethook(co, function() mine = mine + 1 end, "", 10)
    for _ = 1, 1000 do other = other + 0 end
    coroutine.resume(co)
    return mine > 10, other
  end)
  t("hooks do not nest", 1, function()
    local depth, most = 0, 0
    debug.sethook(function()
      depth = depth + 1
      most = math.max(most, depth)
      for _ = 1, 10 do local _ = depth end -- luacheck: ignore 211
      depth = depth - 1
    end, "l")
    for _ = 1, 5 do local _ = most end -- luacheck: ignore 211
    debug.sethook()
    return most
  end)

  -- Tracebacks: those of coroutines are whole, and alike everywhere.
  t("traceback of a coroutine", [[
stack traceback:
	[C]: in function 'coroutine.yield'
	c:2: in upvalue 'inner'
	c:5: in local 'outer'
	c:7: in main chunk]], function()
    local co = coroutine.create(load([[local function inner()
      coroutine.yield()
    end
    local function outer()
      inner()
    end
    outer()
    return 1]], "=c"))
    coroutine.resume(co)
    return debug.traceback(co)
  end)
  t("traceback with message and level", "m\nstack traceback:\n\tc:1: in main chunk", function()
    local co = coroutine.create(load("coroutine.yield()", "=c"))
    coroutine.resume(co)
    return debug.traceback(co, "m", 1)
  end)
  t("traceback of a fresh and of a dead one", "stack traceback:", "stack traceback:", function()
    local co = coroutine.create(function() end)
    local a = debug.traceback(co)
    coroutine.resume(co)
    return a, debug.traceback(co)
  end)
  t("traceback after an error", "c:1: m\nstack traceback:\n\t[C]: in function 'error'\n\tc:1: in main chunk",
    function()
      local co = coroutine.create(load("error('m')", "=c"))
      local _, message = coroutine.resume(co)
      return debug.traceback(co, message)
    end)
  t("traceback of methods, fields, globals and tail calls", [[
stack traceback:
	[C]: in function 'coroutine.yield'
	c:1: in method 'method'
	c:2: in field 'field'
	c:3: in function 'aglobal'
	(...tail calls...)
	c:5: in main chunk]], function()
    local co = coroutine.create(load([[local o = {} function o:method() coroutine.yield() end
      function o.field() o:method() end
      function aglobal() o.field() end
      local function tail() return aglobal() end
      tail()]], "=c"))
    coroutine.resume(co)
    local trace = debug.traceback(co)
    rawset(_G, "aglobal", nil)
    return trace
  end)
  t("a long traceback is cut in the middle", 22, 1, function()
    local co = coroutine.create(load([[local function down(n)
      if n == 0 then coroutine.yield() else down(n - 1) end
      return n
    end
    down(200)]], "=c"))
    coroutine.resume(co)
    local trace = debug.traceback(co)
    local _, lines = trace:gsub("\n", "")
    local _, cuts = trace:gsub("\n\t%.%.%.\t%(skipping %d+ levels%)", "")
    return lines, cuts
  end)
  t("traceback passes what is no string", true, true, function()
    local x = {}
    return debug.traceback(x) == x, debug.traceback(print) == print
  end)
  t("traceback takes a number for a string, and nil for none", "5\n", "stack", function()
    return debug.traceback(5):sub(1, 2), debug.traceback(nil, 1):sub(1, 5)
  end)
  t("traceback of here", true, true, function()
    local trace = debug.traceback("here", 1)
    return trace:find("^here\nstack traceback:\n\t") ~= nil, trace:find("in function", 1, true) ~= nil
  end)

  -- Metatables, the registry, user values.
  t("debug.setmetatable gives its value", 5, true, function()
    local x = {}
    local n = debug.setmetatable(5, nil)
    return n, debug.setmetatable(x, {}) == x
  end)
  t("protected metatables do not stop it", true, function()
    local x = setmetatable({}, {__metatable = "locked"})
    debug.setmetatable(x, nil)
    return getmetatable(x) == nil
  end)
  t("debug.setmetatable({}, 1)", err "bad argument #2 to 'setmetatable' (nil or table expected, got number)")
  t("type(debug.getregistry())", "table")
  t("debug.getuservalue(1, 1)", nil)
  t("debug.getregistry()[2] == _G", true)

  debug.sethook(hook, mask, count)
end
