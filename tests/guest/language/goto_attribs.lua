--- goto and labels, and the attribs of local variables (const; close has a theme of its own).
return function(t)
  t("goto done do return 1 end ::done:: return 2", 2)
  t("local i = 1 ::top:: if i < 5 then i = i + 1 goto top end return i", 5)
  t("continue", {1, 3, 5}, function()
    local list = {}
    for i = 1, 5 do
      if i % 2 == 0 then goto continue end
      list[#list + 1] = i
      ::continue::
    end
    return list
  end)
  t("continue in while and repeat", 25, 25, function()
    local a, b, i = 0, 0, 0
    while i < 10 do
      i = i + 1
      if i % 2 == 0 then goto continue end
      a = a + i
      ::continue::
    end
    i = 0
    repeat
      i = i + 1
      if i % 2 == 0 then goto next end
      b = b + i
      ::next::
    until i >= 10
    return a, b
  end)
  t("out of three loops", 2, 3, 4, function()
    local a, b, c
    for i = 1, 5 do
      for j = 1, 5 do
        for k = 1, 5 do
          if i == 2 and j == 3 and k == 4 then
            a, b, c = i, j, k
            goto out
          end
        end
      end
    end
    ::out::
    return a, b, c
  end)
  t("into an enclosing block, backwards", {1, 2, 3}, function()
    local list = {}
    do
      ::again::
      list[#list + 1] = #list + 1
      if #list < 3 then
        do goto again end
      end
    end
    return list
  end)
  t("a label at a block's end may be jumped to over locals", 1, function()
    do
      goto last
      local x = 5 -- luacheck: ignore 211 511
      ::last::
    end
    return 1
  end)
  t("do goto e local x ::e:: ::f:: ; end return 'end'", "end")
  t("the same label in two blocks", 3, function()
    local n = 0
    do
      goto a
      ::a::
      n = n + 1
    end
    do
      goto a
      ::a::
      n = n + 2
    end
    return n
  end)
  t("the same label in a function within", 1, 2, function()
    goto a
    ::a::
    local function f()
      goto a
      ::a::
      return 2
    end
    return 1, f()
  end)
  t("break is a goto out of the loop", 3, function()
    local n = 0
    while true do
      n = n + 1
      do
        if n == 3 then break end
      end
    end
    return n
  end)
  t("break before a local", 1, function()
    local n = 0
    for _ = 1, 3 do
      n = n + 1
      if n == 1 then break end
      local x = n -- luacheck: ignore 211
    end
    return n
  end)
  t("a state machine", "s0 s1 s2 s1 s2 end", function()
    local log, n = {}, 0
    goto s0
    ::s1::
    log[#log + 1] = "s1"
    goto s2
    ::s0::
    log[#log + 1] = "s0"
    goto s1
    ::s2::
    log[#log + 1] = "s2"
    n = n + 1
    if n < 2 then goto s1 end
    log[#log + 1] = "end"
    return table.concat(log, " ")
  end)
  t("goto closes captured variables", 10, 20, function()
    local list, i = {}, 0
    ::top::
    do
      local x = (i + 1) * 10
      list[#list + 1] = function() return x end
      i = i + 1
      if i < 2 then goto top end
    end
    return list[1](), list[2]()
  end)

  local function refused(source, message)
    t("load " .. source, nil, "c:" .. message, function() return load(source, "=c") end)
  end
  refused("goto nowhere", "1: no visible label 'nowhere' for <goto> at line 1")
  refused("do ::a:: end goto a", "1: no visible label 'a' for <goto> at line 1")
  refused("goto a; do ::a:: end", "1: no visible label 'a' for <goto> at line 1")
  refused("::a:: ::a::", "1: label 'a' already defined on line 1")
  refused("::a::\ndo\n::a:: end", "3: label 'a' already defined on line 1")
  refused("goto a; local x; ::a:: print(x)", "1: <goto a> at line 1 jumps into the scope of local 'x'")
  refused("goto a\nlocal x <const> = 1\n::a::\nprint(x)", "4: <goto a> at line 1 jumps into the scope of local 'x'")
  refused("function f() goto a end ::a::", "1: no visible label 'a' for <goto> at line 1")
  refused("repeat if x then goto cont end; local xuxu = 10; ::cont:: until xuxu < x",
    "1: <goto cont> at line 1 jumps into the scope of local 'xuxu'")
  refused("break", "1: break outside loop at line 1")
  refused("while true do local function f() break end end", "1: break outside loop at line 1")
  refused("::a", "1: '::' expected near <eof>")
  refused("goto", "1: <name> expected near <eof>")
  refused("::1::", "1: <name> expected near '1'")

  -- const
  t("local x <const> = 5 return x + 1", 6)
  t("local x <const>, y = 1, 2 y = x + y return y", 3)
  t("local x <const> return x", nil)
  t("local x <const> = {} x.a = 1 return x.a", 1)
  t("local x<const> = 'str' return x, #x", "str", 3)
  t("local x < const > = 2.5 return x", 2.5)
  t("local a <const>, b <const>, c = 1, 2, 3 c = a + b + c return c", 6)
  t("local x <const> = 10 local f = function() return x * 2 end return f()", 20)
  t("local x <const> = nil return x == nil", true)
  t("local x <const> = 1 do local x <const> = 2 end return x", 1)
  t("local x <const> = 1 local x = x + 1 x = x + 1 return x", 3)
  t("local m <const> = -7 return m // 2, m % 2, m << 1, -m", -4, 1, -14, 7)
  t("local b <const> = true return not b, b and 'y' or 'n'", false, "y")
  t("local s <const> = 'k' return ({k = 'v'})[s], ({k = 'w'}).k", "v", "w")
  t("const is folded into loops", 30, function()
    local from <const>, to <const>, step <const> = 2, 10, 2
    local sum = 0
    for i = from, to, step do sum = sum + i end
    return sum
  end)
  refused("local x <const> = 1; x = 2", "1: attempt to assign to const variable 'x'")
  refused("local x <const> = {}; x = {}", "1: attempt to assign to const variable 'x'")
  refused("local x <const> = 1; function f() x = 2 end", "1: attempt to assign to const variable 'x'")
  refused("local x <const>, y = f(); y = 1; x = 2", "1: attempt to assign to const variable 'x'")
  refused("local x <const> = 1; function x() end", "1: attempt to assign to const variable 'x'")
  refused("local x <const> = 1; a, x = 1, 2", "1: attempt to assign to const variable 'x'")
  refused("local x <close> = nil; x = 1", "1: attempt to assign to const variable 'x'")
  refused("local x <const> = 1; return function() return function() x = 1 end end",
    "1: attempt to assign to const variable 'x'")
  refused("local x <frozen> = 1", "1: unknown attribute 'frozen'")
  refused("local x <1> = 1", "1: <name> expected near '1'")
  refused("local a <close>, b <close> = 1, 2", "1: multiple to-be-closed variables in local list")
  refused("local function <const> f() end", "1: <name> expected near '<'")
  refused("for i <const> = 1, 2 do end", "1: '=' or 'in' expected near '<'")
end
