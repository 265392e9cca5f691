--- Garbage collection: collectgarbage's options, weak tables and ephemerons, finalizers with their order, resurrection
-- and errors, both modes, and memory that goes back. What is asked after a full collection holds in either mode, so
-- the theme gives one text whatever the mode it is run in; it leaves mode and parameters as it found them.
-- luacheck: ignore 241 311 (what is only held, or let go of, is the point here)
return function(t)
  local collect = collectgarbage
  local full = function()
    collect()
    collect()
  end

  -- The mode and parameters found are put back at the end.
  local mode = collect("incremental")
  local pause, stepmul = collect("setpause", 200), collect("setstepmul", 100)

  -- Finalizers that fail warn; a host that shows warnings would show them among the suite's lines.
  warn("@off")

  -- Options.
  t("a fraction of kilobytes is counted", "float", true, function()
    local n = collect("count")
    return math.type(n), n > 0
  end)
  t("collect gives 0", 0, function() return collect("collect") end)
  t("stop, isrunning, restart", true, 0, false, 0, true, function()
    local a = collect("isrunning")
    local b = collect("stop")
    local c = collect("isrunning")
    local d = collect("restart")
    return a, b, c, d, collect("isrunning")
  end)
  t("stopped, nothing is collected", true, false, function()
    local weak = setmetatable({}, {__mode = "v"})
    collect("stop")
    weak[1] = {}
    for _ = 1, 2000 do local _ = {} end -- luacheck: ignore 211
    local kept = weak[1] ~= nil
    collect("restart")
    full()
    return kept, weak[1] ~= nil
  end)
  t("modes tell the one before", "incremental", "generational", "generational", "incremental", function()
    local a = collect("generational")
    local b = collect("generational")
    local c = collect("incremental")
    return a, b, c, collect("incremental")
  end)
  t("parameters tell the ones before", 200, 160, 100, 400, function()
    local a = collect("setpause", 160)
    local b = collect("setpause", 200)
    local c = collect("setstepmul", 400)
    local d = collect("setstepmul", 100)
    return a, b, c, d
  end)
  t("incremental takes parameters", "incremental", 120, 240, function()
    local a = collect("incremental", 120, 240, 10)
    local b, c = collect("setpause", 200), collect("setstepmul", 100)
    return a, b, c
  end)
  t("generational takes parameters", "incremental", "generational", function()
    local a = collect("generational", 30, 80)
    return a, collect("incremental", 0, 0, 0)
  end)
  t("steps end a cycle", true, function()
    local n = 0
    repeat n = n + 1 until collect("step", 10) or n > 100000
    return n <= 100000
  end)
  t("a huge step is a cycle", true, function() return collect("step", 1000000) end)
  t("steps of nothing end it, too", true, function()
    local n = 0
    repeat n = n + 1 until collect("step", 0) or n > 100000
    return n <= 100000
  end)
  t("a step collects", nil, function()
    local weak = setmetatable({{}}, {__mode = "v"})
    for _ = 1, 3 do
      local n = 0
      repeat n = n + 1 until collect("step", 100) or n > 100000
    end
    return weak[1]
  end)

  -- The same in both modes.
  for _, name in ipairs {"incremental", "generational"} do
    local function in_mode(label, ...)
      local want = table.pack(...)
      local body = want[want.n]
      want[want.n] = function()
        collect(name)
        local got = table.pack(pcall(body))
        collect("incremental")
        if not got[1] then error(got[2], 0) end
        return table.unpack(got, 2, got.n)
      end
      t(name .. ": " .. label, table.unpack(want, 1, want.n))
    end

    -- Weak tables.
    in_mode("weak values", nil, true, 1, "s", true, function()
      local kept = {}
      local weak = setmetatable({{}, kept, 1, "s", true}, {__mode = "v"})
      full()
      return weak[1], weak[2] == kept, weak[3], weak[4], weak[5]
    end)
    in_mode("weak keys", 1, "kept", function()
      local kept = {}
      local weak = setmetatable({[{}] = "gone", [kept] = "kept"}, {__mode = "k"})
      full()
      local n = 0
      for _ in pairs(weak) do n = n + 1 end
      return n, weak[kept]
    end)
    in_mode("weak keys and values", 1, function()
      local a, b = {}, {}
      local weak = setmetatable({[a] = {}, [{}] = b, [b] = a}, {__mode = "kv"})
      full()
      local n = 0
      for k, v in pairs(weak) do
        if k == b and v == a then n = n + 1 else n = n + 100 end
      end
      return n
    end)
    in_mode("strings are values, not objects", 100, 100, function()
      local values, keys = setmetatable({}, {__mode = "v"}), setmetatable({}, {__mode = "k"})
      for i = 1, 100 do values[i], keys["long " .. ("k"):rep(50) .. i] = "text" .. i, i end
      full()
      local n, m = 0, 0
      for _ in pairs(values) do n = n + 1 end
      for _ in pairs(keys) do m = m + 1 end
      return n, m
    end)
    in_mode("functions and threads are objects", nil, nil, true, function()
      local x = 0
      local weak = setmetatable({}, {__mode = "v"})
      weak[1], weak[2], weak[3] = function() return x end, coroutine.create(print), print
      full()
      return weak[1], weak[2], weak[3] == print
    end)
    in_mode("a table made weak later", nil, function()
      local x = {{}}
      full()
      setmetatable(x, {__mode = "v"})
      full()
      return x[1]
    end)
    in_mode("no weak table: all is kept", 10, function()
      local x = setmetatable({}, {__mode = ""})
      for i = 1, 10 do x[i] = {} end
      full()
      return #x
    end)
    in_mode("1000 weak entries, every second kept", 500, 0, 500, function()
      local weak, kept, wrong, n = setmetatable({}, {__mode = "v"}), {}, 0, 0
      for i = 1, 1000 do
        local x = {i}
        weak[i] = x
        if i % 2 == 0 then kept[#kept + 1] = x end
      end
      full()
      for k, v in pairs(weak) do
        n = n + 1
        if v[1] ~= k or k % 2 ~= 0 then wrong = wrong + 1 end
      end
      return n, wrong, #kept
    end)

    -- Ephemerons: a value reachable only through its own key does not keep the key.
    in_mode("an ephemeron", nil, function()
      local e = setmetatable({}, {__mode = "k"})
      do
        local k = {}
        e[k] = {k}
      end
      full()
      return next(e)
    end)
    in_mode("a chain of ephemerons", 0, function()
      local e, n = setmetatable({}, {__mode = "k"}), 0
      do
        local k = {}
        for _ = 1, 50 do
          local next_key = {}
          e[k] = next_key
          k = next_key
        end
        e[k] = k
      end
      full()
      for _ in pairs(e) do n = n + 1 end
      return n
    end)
    in_mode("a chain of ephemerons that is held", 50, function()
      local e, n = setmetatable({}, {__mode = "k"}), 0
      local first = {}
      do
        local k = first
        for _ = 1, 50 do
          local next_key = {}
          e[k] = next_key
          k = next_key
        end
      end
      full()
      local k = first
      while e[k] do k, n = e[k], n + 1 end
      return n
    end)
    in_mode("two tables that hold each other's keys", 0, 0, function()
      local a, b = setmetatable({}, {__mode = "k"}), setmetatable({}, {__mode = "k"})
      do
        local x, y = {}, {}
        a[x], b[y] = y, x
      end
      full()
      local n, m = 0, 0
      for _ in pairs(a) do n = n + 1 end
      for _ in pairs(b) do m = m + 1 end
      return n, m
    end)

    -- Finalizers: in the reverse order of marking, once, on what may be resurrected.
    in_mode("order", {5, 4, 3, 2, 1}, function()
      local log = {}
      for i = 1, 5 do setmetatable({}, {__gc = function() log[#log + 1] = i end}) end
      full()
      return log
    end)
    in_mode("order is of marking, not of creation", {"a", "c", "b"}, function()
      local log = {}
      local function mark(x, text) setmetatable(x, {__gc = function() log[#log + 1] = text end}) end
      do
        local a, b, c = {}, {}, {}
        mark(b, "b")
        mark(c, "c")
        mark(a, "a")
      end
      full()
      return log
    end)
    in_mode("once", 1, function()
      local n = 0
      setmetatable({}, {__gc = function() n = n + 1 end})
      full()
      full()
      return n
    end)
    in_mode("the finalizer gets the object", 42, 1, function()
      local got, count
      setmetatable({v = 42}, {__gc = function(...) got, count = (...).v, select("#", ...) end})
      full()
      return got, count
    end)
    in_mode("cycles have finalizers, too", 2, function()
      local n = 0
      do
        local mt = {__gc = function(o)
          n = n + (o.other and 1 or 100)
        end}
        local a, b = setmetatable({}, mt), setmetatable({}, mt)
        a.other, b.other = b, a
      end
      full()
      return n
    end)
    in_mode("resurrection", 1, "kept", 1, nil, function()
      local saved, n = nil, 0
      local weak = setmetatable({}, {__mode = "k"})
      do
        local x = setmetatable({v = "kept"}, {__gc = function(o)
          n = n + 1
          saved = o
        end})
        weak[x] = true
      end
      full()
      local value = saved.v
      local first = n
      saved = nil
      full()
      return first, value, n, next(weak)
    end)
    in_mode("marked again, finalized again", 3, function()
      local n = 0
      local mt = {}
      function mt.__gc(o)
        n = n + 1
        if n < 3 then setmetatable(o, mt) end
      end
      setmetatable({}, mt)
      full()
      full()
      full()
      return n
    end)
    in_mode("a weak value goes before its finalizer, a weak key after", "nil", "there", nil, function()
      local values, keys = setmetatable({}, {__mode = "v"}), setmetatable({}, {__mode = "k"})
      local by_value, by_key
      do
        local x = setmetatable({}, {__gc = function(o)
          by_value, by_key = tostring(values[1]), keys[o]
        end})
        values[1], keys[x] = x, "there"
      end
      full()
      full()
      return by_value, by_key, next(keys)
    end)
    in_mode("what a finalizer needs is alive", "child of child", function()
      local seen
      do
        local x = {child = {child = {name = "child of child"}}}
        setmetatable(x, {__gc = function(o) seen = o.child.child.name end})
      end
      full()
      return seen
    end)
    in_mode("a field added after setmetatable marks nothing", 0, function()
      local n = 0
      local mt = {}
      setmetatable({}, mt)
      mt.__gc = function() n = n + 1 end
      full()
      return n
    end)
    in_mode("a field set before, replaced later, counts as it is then", "second", function()
      local seen
      local mt = {__gc = true}
      setmetatable({}, mt)
      mt.__gc = function() seen = "second" end
      full()
      return seen
    end)
    in_mode("a __gc that is no function is ignored", true, function()
      setmetatable({}, {__gc = 5})
      setmetatable({}, {__gc = "text"})
      full()
      return true
    end)
    in_mode("an error in a finalizer is a warning, and stops nothing", {3, 1}, function()
      local log = {}
      setmetatable({}, {__gc = function() log[#log + 1] = 1 end})
      setmetatable({}, {__gc = function() error("in finalizer") end})
      setmetatable({}, {__gc = function() log[#log + 1] = 3 end})
      full()
      return log
    end)
    in_mode("errors with objects and nil in finalizers", 1, function()
      local n = 0
      setmetatable({}, {__gc = function() n = n + 1 end})
      setmetatable({}, {__gc = function() error({}) end})
      setmetatable({}, {__gc = function() error(nil) end})
      full()
      return n
    end)
    in_mode("a finalizer may allocate, call and make objects", 100, 1, function()
      local made, after = 0, 0
      setmetatable({}, {__gc = function()
        for _ = 1, 100 do made = made + #{{}} end
        setmetatable({}, {__gc = function() after = after + 1 end})
      end})
      full()
      full()
      return made, after
    end)
    in_mode("a finalizer cannot collect", nil, nil, nil, nil, function()
      local a, b, c, d = 1, 2, 3, 4
      setmetatable({}, {__gc = function()
        a, b, c, d = collect(), collect("step"), collect("count"), collect("stop")
      end})
      full()
      return a, b, c, d
    end)
    in_mode("a finalizer cannot yield", "attempt to yield across a C-call boundary", function()
      local message
      coroutine.wrap(function()
        setmetatable({}, {__gc = function() message = select(2, pcall(coroutine.yield)) end})
        full()
      end)()
      return message
    end)
    in_mode("hundreds of finalizers", 300, function()
      local n = 0
      for _ = 1, 300 do setmetatable({}, {__gc = function() n = n + 1 end}) end
      full()
      return n
    end)
    in_mode("closures, threads and their variables are collected", 0, function()
      local weak = setmetatable({}, {__mode = "v"})
      do
        local x = {}
        weak[1] = x
        local function f() return x end
        local co = coroutine.wrap(function()
          local y = {}
          weak[2] = y
          coroutine.yield(f)
          return y
        end)
        co()
      end
      full()
      return #weak
    end)
    in_mode("a suspended coroutine keeps its locals", true, 7, function()
      local weak = setmetatable({}, {__mode = "v"})
      local co = coroutine.wrap(function()
        local x = {7}
        weak[1] = x
        coroutine.yield()
        return x[1]
      end)
      co()
      full()
      local kept = weak[1] ~= nil
      return kept, co()
    end)
    in_mode("upvalues keep", 9, function()
      local f
      do
        local x = {9}
        f = function() return x[1] end
      end
      full()
      return f()
    end)

    -- Memory goes back.
    in_mode("memory goes back: tables", true, function()
      full()
      local before = collect("count")
      do
        local list = {}
        for i = 1, 2000 do list[i] = {i} end
        if collect("count") - before < 80 then return "nothing was taken" end
      end
      full()
      return collect("count") - before < 16
    end)
    in_mode("memory goes back: strings", true, function()
      full()
      local before = collect("count")
      do
        local list = {}
        for i = 1, 100 do list[i] = ("x"):rep(2000) .. i end
        if collect("count") - before < 190 then return "nothing was taken" end
      end
      full()
      return collect("count") - before < 16
    end)
    in_mode("memory goes back: closures, coroutines, cycles", true, function()
      full()
      local before = collect("count")
      do
        local list = {}
        for i = 1, 200 do
          local a = {}
          a.self, a.f, a.co = a, function() return a end, coroutine.create(function() coroutine.yield(a) end)
          coroutine.resume(a.co)
          list[i] = a
        end
      end
      full()
      return collect("count") - before < 16
    end)
    in_mode("memory goes back: after errors", true, function()
      full()
      local before = collect("count")
      for i = 1, 200 do
        pcall(function()
          local x = {}
          for k = 1, 20 do x[k] = i .. "/" .. k end
          error(x)
        end)
      end
      full()
      return collect("count") - before < 16
    end)
    in_mode("the heap stays small while garbage is made", true, function()
      full()
      local before, peak = collect("count"), 0
      for i = 1, 20000 do
        local x = {i, tostring(i)}
        if i % 500 == 0 then peak = math.max(peak, collect("count")) end
        if x[1] ~= i then return "wrong" end
      end
      return peak < before * 4 + 512
    end)

    -- Old and young: a long-lived table written with young objects (the barriers), over many collections.
    in_mode("old objects that point to young", 0, function()
      local old, wrong = {}, 0
      for i = 1, 100 do old[i] = {i} end
      full()
      for round = 1, 20 do
        for i = 1, 100, 7 do old[i] = {i, round, {round}} end
        collect("step", 0)
        for i = 1, 100, 7 do
          if old[i][1] ~= i or old[i][2] ~= round or old[i][3][1] ~= round then wrong = wrong + 1 end
        end
      end
      return wrong
    end)
    in_mode("old metatables, upvalues and weak tables that point to young", 0, function()
      local wrong, weak, mt = 0, setmetatable({}, {__mode = "v"}), {}
      local object, x = setmetatable({}, mt), nil
      local function get() return x end
      full()
      for round = 1, 30 do
        mt.__index = {v = round}
        x = {round}
        weak[round] = x
        collect("step", 0)
        if object.v ~= round or get()[1] ~= round or weak[round] ~= x then wrong = wrong + 1 end
      end
      return wrong
    end)
    in_mode("switching the mode amid work", 0, function()
      local list, wrong = {}, 0
      for i = 1, 300 do
        list[i] = {i, ("s"):rep(i)}
        if i % 10 == 0 then collect(i % 20 == 0 and "generational" or "incremental") end
        if i % 3 == 0 then collect("step", 1) end
      end
      for i = 1, 300 do
        if list[i][1] ~= i or #list[i][2] ~= i then wrong = wrong + 1 end
      end
      return wrong
    end)
  end

  collect(mode)
  collect("setpause", pause)
  collect("setstepmul", stepmul)
end
