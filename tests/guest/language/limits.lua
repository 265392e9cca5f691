--- Limits that Lua states: locals, upvalues, registers, nesting, sizes of strings. Each is met just below and just
-- above, where the number is the implementation's own; where it counts C levels, with a margin for the host's levels.
return function(t)
  local err = t.err

  local function list(prefix, n, separator)
    local parts = {}
    for i = 1, n do parts[i] = prefix .. i end
    return table.concat(parts, separator or ",")
  end

  -- 200 local variables.
  t("200 locals", 200, function()
    return load("local " .. list("a", 200) .. " a200 = 200 return a200", "=c")()
  end)
  t("201 locals", nil, "c:1: too many local variables (limit is 200) in main function near '='", function()
    return load("local " .. list("a", 201) .. " = 1", "=c")
  end)
  t("201 locals in a function", nil, "c:2: too many local variables (limit is 200) in function at line 1 near '='",
    function() return load("function f()\nlocal " .. list("a", 201) .. " = 1 end", "=c") end)
  t("locals in blocks after each other", 400, function()
    return load("do local " .. list("a", 199) .. " end do local " .. list("b", 199) .. " b199 = 400 return b199 end")()
  end)
  t("200 parameters", 200, function()
    return load("return function(" .. list("a", 200) .. ") return 200 end")()()
  end)
  t("201 parameters", nil, "c:1: too many local variables (limit is 200) in function at line 1 near ')'", function()
    return load("return function(" .. list("a", 201) .. ") end", "=c")
  end)

  -- 255 upvalues.
  local function upvalues(n)
    local text = {"local " .. list("a", 150) .. "\nlocal function outer()\nlocal " .. list("b", 150) ..
      "\nreturn function()\nreturn "}
    local names = {}
    for i = 1, n do names[i] = i <= 150 and "a" .. i or "b" .. i - 150 end
    for i = 1, n, 50 do
      text[#text + 1] = (i > 1 and "," or "") .. "{" .. table.concat(names, ",", i, math.min(i + 49, n)) .. "}"
    end
    text[#text + 1] = "\nend end return outer()"
    return table.concat(text)
  end
  t("255 upvalues", true, function() return load(upvalues(255), "=c") ~= nil end)
  t("256 upvalues", nil, "c:5: too many upvalues (limit is 255) in function at line 4 near '}'", function()
    return load(upvalues(256), "=c")
  end)

  -- Registers.
  t("240 arguments in a call", 240, function()
    return load("return select('#'," .. list("", 240) .. ")")()
  end)
  t("260 arguments in a call", nil, "c:1: function or expression needs too many registers near '255'", function()
    return load("return f(" .. list("", 260) .. ")", "=c")
  end)
  t("a sum of 300 is no nesting", 45150, function() return load("return " .. list("", 300, "+"))() end)
  t("a sum of 300 variables", 300, function()
    return load("local a = 1 return " .. ("a+"):rep(299) .. "a")()
  end)

  -- Nesting: the compiler recurses on C's stack, 200 levels of which are there for all.
  local function nested(name, open, middle, close)
    t("nesting of " .. name, true, false, true, function()
      local below = load("local f, t, a return " .. open:rep(60) .. middle .. close:rep(60), "=c")
      local above, message = load("local f, t, a return " .. open:rep(250) .. middle .. close:rep(250), "=c")
      return below ~= nil, above ~= nil, message:find("C stack overflow", 1, true) ~= nil
    end)
  end
  nested("parentheses", "(", "1", ")")
  nested("tables", "{", "1", "}")
  nested("calls", "f(", "1", ")")
  nested("functions", "function() return ", "1", " end")
  nested("indices", "t[", "1", "]")
  nested("not", "not ", "a", "")
  nested("minus", "- ", "a", "")
  nested("concat", "a .. ", "a", "")
  nested("power", "a ^ ", "a", "")
  t("nesting of blocks", true, false, true, function()
    local below = load(("do "):rep(150) .. ("end "):rep(150), "=c")
    local above, message = load(("do "):rep(250) .. ("end "):rep(250), "=c")
    return below ~= nil, above ~= nil, message:find("C stack overflow", 1, true) ~= nil
  end)
  t("nesting of loops", true, false, true, function()
    local below = load(("while a do "):rep(90) .. ("end "):rep(90), "=c")
    local above, message = load(("while a do "):rep(250) .. ("end "):rep(250), "=c")
    return below ~= nil, above ~= nil, message:find("C stack overflow", 1, true) ~= nil
  end)
  t("a list of 250 targets", false, true, function()
    local f, message = load("local a " .. ("a,"):rep(250) .. "a = 1", "=c")
    return f ~= nil, message:find("C stack overflow", 1, true) ~= nil
  end)
  t("the message of nested parentheses", "C stack overflow", function()
    local _, message = load("return " .. ("("):rep(1000), "=c")
    return message:match("C stack overflow")
  end)
  t("afterwards the compiler works", 3, function() return load("return ((1 + ((2))))")() end)

  -- Strings.
  t("('x'):rep(1 << 31)", err "resulting string too large")
  t("('x'):rep(1 << 62)", err "resulting string too large")
  t("('xxxx'):rep(1 << 30)", err "resulting string too large")
  t("('x'):rep(1 << 30, 'yyy')", err "resulting string too large")
  t("#('x'):rep(300000)", 300000)
  t("a literal of 200000 bytes", 200000, function() return #load("return '" .. ("y"):rep(200000) .. "'")() end)
  t("a name of 10000 letters", 5, function()
    local name = ("n"):rep(10000)
    return load("local " .. name .. " = 5 return " .. name)()
  end)
  t("a comment of 100000 bytes", 1, function() return load("--[[" .. ("c"):rep(100000) .. "]] return 1")() end)

  -- Depths of data.
  t("10000 tables in a chain", 10000, function()
    local x = {}
    for _ = 1, 10000 do x = {x} end
    local n = 0
    while x[1] do x, n = x[1], n + 1 end
    return n
  end)
  t("a collection of a deep chain", true, function()
    local x = {}
    for _ = 1, 10000 do x = {x} end
    collectgarbage()
    return x[1] ~= nil
  end)
  t("recursion 10000 deep without C", 10000, function()
    local function down(n) return n == 0 and 0 or 1 + down(n - 1) end
    return down(10000)
  end)
  t("150 levels of pcall", 150, function()
    local function down(n)
      if n == 0 then return 0 end
      local _, v = pcall(down, n - 1)
      return v + 1
    end
    return down(150)
  end)
  t("large jumps", 20000, function()
    -- A loop whose body is longer than a small jump reaches.
    local body = ("n = n + 1\n"):rep(10000)
    return load("local n = 0 for _ = 1, 2 do " .. body .. " end return n", "=c")()
  end)
  t("a condition over a long body", 1, 2, function()
    local f = load("local x = ... if x then return 1 else " .. ("y = x\n"):rep(9000) .. " return 2 end", "=c", "t", {})
    return f(true), f(false)
  end)

  -- Numbers of loops.
  t("a loop of 1000000 rounds", 500000500000, function()
    local sum = 0
    for i = 1, 1000000 do sum = sum + i end
    return sum
  end)
end
