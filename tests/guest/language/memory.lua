--- Memory that runs out: not run by default, since it takes all there is up to LIMIT. Where the host's limit is lower,
-- as in a guest, each check meets "not enough memory", is caught, and leaves the state as good as new; where it is
-- higher, the check stops at LIMIT. Both print the same. Lua's own stack ends at 1000000 slots (16 MB): "stack
-- overflow", if memory lasts so long. Stacks and the table of strings shrink by a half with each collection.
-- luacheck: ignore 241 (tables that are only filled)
return function(t)
  local LIMIT = 48 * 1024 -- kilobytes

  local function ended(ok, message)
    return ok or message == "not enough memory" or tostring(message):find("stack overflow", 1, true) ~= nil or message
  end

  --- Run `body` until it raises or returns; then the heap must come back to where it was, and work.
  local function exhausts(name, body)
    t(name, true, true, 5050, function()
      collectgarbage()
      collectgarbage()
      local before = collectgarbage("count")
      local how, back = ended(pcall(body)), false
      for _ = 1, 30 do
        collectgarbage()
        back = collectgarbage("count") - before < 64
        if back then break end
      end
      local sum, list = 0, {}
      for i = 1, 100 do list[i] = i end
      for _, v in ipairs(list) do sum = sum + v end
      return how, back, sum
    end)
  end
  local function full() return collectgarbage("count") > LIMIT end

  exhausts("recursion without end", function()
    local function down(n) return 1 + down(n + 1) end
    return down(1)
  end)
  exhausts("recursion without end in a coroutine", function()
    local function down(n) return 1 + down(n + 1) end
    local ok, message = coroutine.resume(coroutine.create(down), 1)
    if not ok then error(message, 0) end
  end)
  exhausts("recursion with many locals", function()
    local function down(...)
      local a, b, c, d, e, f, g, h = ...
      return down(a, b, c, d, e, f, g, h, 1) or 0
    end
    return down(1)
  end)
  exhausts("a string that doubles", function()
    local s = ("x"):rep(1000)
    while not full() do s = s .. s end
  end)
  exhausts("one large string", function() return #("x"):rep(LIMIT * 1024) end)
  exhausts("a large concat", function()
    local part, list = ("y"):rep(100000), {}
    for i = 1, LIMIT * 1024 // 100000 do list[i] = part end
    return #table.concat(list)
  end)
  exhausts("a list without end", function()
    local list = {}
    while not full() do
      for _ = 1, 1000 do list[#list + 1] = #list end
    end
  end)
  exhausts("tables in a list", function()
    local list = {}
    while not full() do
      for _ = 1, 100 do list[#list + 1] = {#list} end
    end
  end)
  exhausts("a hash without end", function()
    local x, n = {}, 0
    while not full() do
      for _ = 1, 1000 do
        n = n + 1
        x["k" .. n] = n
      end
    end
  end)
  exhausts("closures and coroutines", function()
    local list = {}
    while not full() do
      for i = 1, 50 do
        list[#list + 1] = function() return i end
        local co = coroutine.create(function() coroutine.yield(i) end)
        coroutine.resume(co)
        list[#list + 1] = co
      end
    end
  end)
  exhausts("a chunk without end", function()
    local n = 0
    return load(function()
      n = n + 1
      return not full() and n < 300000 and "x = {'a" .. n .. "'} " or nil
    end)
  end)
  exhausts("a buffer in gsub", function()
    return #(("z"):rep(10000):gsub("z", ("w"):rep(LIMIT * 1024 // 10000)))
  end)
  exhausts("pack of a large string", function() return #string.pack("s", ("v"):rep(LIMIT * 1024)) end)
  exhausts("finalizers on the way out", function()
    local n, list = 0, {}
    while not full() do
      for _ = 1, 100 do list[#list + 1] = setmetatable({}, {__gc = function() n = n + 1 end}) end
    end
  end)
  exhausts("closes on the way out", function()
    local closed <close> = setmetatable({}, {__close = function() collectgarbage() end})
    local list = {closed}
    while not full() do list[#list + 1] = ("u"):rep(50000) .. #list end
  end)
  t("a slice for the stack", true, function()
    local ok, message = pcall(function() return ("x"):rep(1000000):byte(1, -1) end)
    return not ok and (message:find("string slice too long", 1, true) ~= nil or message == "not enough memory")
  end)
  t("ten times over", 10, function()
    local n = 0
    for _ = 1, 10 do
      local ok = pcall(function()
        local list = {}
        while not full() do list[#list + 1] = ("u"):rep(100000) .. #list end
        error("full")
      end)
      if not ok then n = n + 1 end
    end
    return n
  end)
end
