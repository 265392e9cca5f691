--- Numbers from text and back: what the lexer and tonumber take for a numeral, exactly rounded, and how numbers print.
return function(t)
  local err = t.err
  local MIN, MAX, inf = math.mininteger, math.maxinteger, math.huge

  -- tonumber; each accepted text also stands as a literal in a chunk, if it has neither sign nor spaces.
  local function reads(text, want)
    t(("tonumber(%q)"):format(text), want, function() return tonumber(text) end)
    if want and text:find("^[%d.]") and text:find("%x%.?$") then
      t(("literal %s"):format(text), want, function() return load("return " .. text)() end)
    end
  end

  -- Decimal integers; those that do not fit become floats.
  reads("0", 0)
  reads("7", 7)
  reads("00012", 12)
  reads("9223372036854775807", MAX)
  reads("9223372036854775808", 0x1p63)
  reads("18446744073709551615", 0x1p64)
  reads("18446744073709551616", 0x1p64)
  reads("-9223372036854775808", MIN)
  reads("-9223372036854775809", -0x1p63)
  reads("1000000000000000000000", 1e21)
  reads("-0", 0)
  reads("+5", 5)
  reads(("0"):rep(300) .. "1", 1)
  reads("9223372036854775807.0", 0x1p63)
  -- Hexadecimal integers wrap around modulo 2^64.
  reads("0x0", 0)
  reads("0xA", 10)
  reads("0Xa", 10)
  reads("0xdeadBEEF", 3735928559)
  reads("0x7fffffffffffffff", MAX)
  reads("0x8000000000000000", MIN)
  reads("0xffffffffffffffff", -1)
  reads("0x10000000000000000", 0)
  reads("0x1ffffffffffffffff", -1)
  reads("0x123456789abcdef0123456789abcdef", 0x0123456789abcdef)
  reads("-0x1", -1)
  reads("-0xffffffffffffffff", 1)
  reads("-0x8000000000000000", MIN)
  -- Floats.
  reads("3.0", 3.0)
  reads("3.", 3.0)
  reads(".5", 0.5)
  reads("0.5", 0.5)
  reads("1e2", 100.0)
  reads("1E2", 100.0)
  reads("1e+2", 100.0)
  reads("1e-2", 0.01)
  reads("-1.5e-3", -0.0015)
  reads("5.e1", 50.0)
  reads(".5e1", 5.0)
  reads("-.5", -0.5)
  reads("-0.0", -0.0)
  reads("0e0", 0.0)
  reads("0e999999", 0.0)
  reads("1e0000000000000000000001", 10.0)
  reads("1e400", inf)
  reads("-1e400", -inf)
  reads("1e-400", 0.0)
  reads("-1e-400", -0.0)
  reads("1e99999999999", inf)
  reads("1e-99999999999", 0.0)
  -- Hexadecimal floats.
  reads("0x.8", 0.5)
  reads("0x1.8", 1.5)
  reads("0xA.8p0", 10.5)
  reads("0x1p4", 16.0)
  reads("0x1P-2", 0.25)
  reads("0x1p+3", 8.0)
  reads("-0x1.8p1", -3.0)
  reads("0x.1p4", 1.0)
  reads("0xA.", 10.0)
  reads("0x1p-1074", 5e-324)
  reads("0x1p1023", 8.98846567431158e307)
  reads("0x1p1024", inf)
  reads("0x1p-1075", 0.0)
  reads("0x0p999999", 0.0)
  reads("0x1.fffffffffffff8p0", 2.0)
  reads("0x1.fffffffffffff7p0", 0x1.fffffffffffffp0)
  reads("0x1.00000000000008p0", 1.0)
  reads("0x1.00000000000018p0", 0x1.0000000000002p0)
  reads("0x123456789abcdefp0", 0x1.23456789abcdep56 + 16)
  reads("0x" .. ("f"):rep(20) .. ".0", 0x1p80)
  reads("0x0." .. ("0"):rep(30) .. "1p124", 1.0)
  reads("0xe", 14)
  reads("0xep1", 28.0)
  -- Spaces around.
  reads(" 10 ", 10)
  reads("\t\n\v\f\r 0x10 \t\n\v\f\r", 16)
  reads(" -7", -7)
  reads(" 1.5\n", 1.5)
  reads("- 1", nil)
  reads("-\n1", nil)
  reads("1 2", nil)
  reads("0x 1", nil)
  reads("1e 5", nil)
  reads("\1941", nil)
  reads("\xA0" .. "1", nil)
  -- No numerals.
  for _, text in ipairs {
    "", " ", "-", "+", "--1", "+-1", "-+1", "++1", "0x", "0X", "-0x", "0x.", "0xp1", "0x.p1", "1e", "1e+", "1e-",
    "e1", ".", "..", ".e1", "1.2.3", "1..", "1x", "x1", "0xg", "0x1g", "0x1p", "0x1p+", "0x1pa", "1e1.5", "0x1.8p1.5",
    "1_000", "1,5", "1f", "1L", "inf", "-inf", "nan", "NaN", "infinity", "Inf", "0b1", "0o7", "1\0", "\0" .. "1",
    "1 \0", "1e5\0", "true", "nil", "'1'", "1;", "(1)", "0x1.8.1", "1e1e1", "--", "0xnan", "0xinf", "nan(1)", "$1",
    "1%", "0x-1", "1-",
  } do reads(text, nil) end

  -- Decimal to double is rounded exactly, to nearest and to even, however long the text.
  reads("0.1", 0x1.999999999999ap-4)
  reads("0.3", 0x1.3333333333333p-2)
  reads("123456789012345678", 123456789012345678)
  reads("123456789012345678.0", 0x1.b69b4ba630f35p56)
  reads("9007199254740993.0", 9007199254740992.0)
  reads("9007199254740993.00000000000000000000000000000000001", 9007199254740994.0)
  reads("9007199254740992.99999999999999999999999999999999999", 9007199254740992.0)
  reads("9007199254740995.0", 9007199254740996.0)
  reads("1.00000000000000011102230246251565404236316680908203125", 1.0)
  reads("1.00000000000000011102230246251565404236316680908203126", 0x1.0000000000001p0)
  reads("1.00000000000000033306690738754696212708950042724609375", 0x1.0000000000002p0)
  reads("2.2250738585072011e-308", 0x0.fffffffffffffp-1022)
  reads("2.2250738585072012e-308", 0x1p-1022)
  reads("2.2250738585072014e-308", 0x1p-1022)
  reads("4.9406564584124654e-324", 0x1p-1074)
  reads("2.4703282292062327e-324", 0.0)
  reads("2.4703282292062328e-324", 0x1p-1074)
  reads("1.7976931348623157e308", 0x1.fffffffffffffp1023)
  reads("1.7976931348623158e308", 0x1.fffffffffffffp1023)
  reads("1.7976931348623159e308", inf)
  reads("179769313486231580793728971405301e276", 0x1.fffffffffffffp1023)

  reads("1e23", 0x1.52d02c7e14af6p76)

  reads("9.5367431640625e-7", 0x1p-20)
  reads("5e-324", 0x1p-1074)
  reads("0." .. ("0"):rep(180) .. "1", 1e-181)
  reads("1" .. ("0"):rep(190), 1e190)
  reads(("1"):rep(100) .. "e-100", 0.1111111111111111)
  t("200 characters and more", true, function()
    -- A literal may have any length. tonumber gives up on decimal floats of more than 200 characters only where the
    -- locale's radix character is not the dot (lobject.c, L_MAXLENNUM), so long ones pass here.
    return tonumber("0." .. ("3"):rep(400)) == 0x1.5555555555555p-2
  end)
  t("a literal of 1000 digits", 0x1.5555555555555p-2, function() return load("return 0." .. ("3"):rep(1000))() end)
  t("an integer of 1000 digits", inf, function() return tonumber(("9"):rep(1000)) end)
  t("hex digits, 500 of them", -1, function() return tonumber("0x" .. ("f"):rep(500)) end)

  -- Numbers to text.
  local function prints(value, want)
    t(("tostring %s"):format(want), want, want, want, function()
      return tostring(value), value .. "", (want:gsub(".+", function() return value end))
    end)
  end
  prints(0, "0")
  prints(-1, "-1")
  prints(MAX, "9223372036854775807")
  prints(MIN, "-9223372036854775808")
  prints(3.0, "3.0")
  prints(-3.0, "-3.0")
  prints(0.0, "0.0")
  prints(-0.0, "-0.0")
  prints(0.1, "0.1")
  prints(1 / 3, "0.33333333333333")
  prints(2 / 3, "0.66666666666667")
  prints(100.0, "100.0")
  prints(1e14, "1e+14")
  prints(1e13, "10000000000000.0")
  prints(123456789012345.0, "1.2345678901234e+14")
  prints(99999999999999.0, "99999999999999.0")
  prints(1e15, "1e+15")
  prints(1e100, "1e+100")
  prints(-1e100, "-1e+100")
  prints(1e-5, "1e-05")
  prints(0.0001, "0.0001")
  prints(1.5e-10, "1.5e-10")
  prints(inf, "inf")
  prints(-inf, "-inf")
  prints(2^53, "9.007199254741e+15")
  prints(2^63, "9.2233720368548e+18")
  prints(3.14159265358979, "3.1415926535898")
  prints(0.1 + 0.2, "0.3")
  prints(5e-324, "4.9406564584125e-324")
  prints(1.7976931348623157e308, "1.7976931348623e+308")
  prints(1e300 * 1e10, "inf")
  prints(255 // 1, "255")
  prints(255 / 1, "255.0")
  prints(0.5, "0.5")
  prints(1234567.5, "1234567.5")
  prints(12345678.125, "12345678.125")
  t("NaN prints as nan, of either sign", true, true, function()
    return (tostring(0 / 0):gsub("^%-", "")) == "nan", (tostring(-(0 / 0)):gsub("^%-", "")) == "nan"
  end)
  t("1e15, 2^31, 1e2", 1e15, 2147483648.0, 100.0)
  t("1 .. '', 1.0 .. '', -0.0 .. '', 2^63 .. '', 10 // 3 .. ''", "1", "1.0", "-0.0", "9.2233720368548e+18", "3")
  t("table.concat({1, 2.0, 3.5, -0.0}, ' ')", "1 2.0 3.5 -0.0")

  t("tostring(12345678901234567890)", "1.2345678901235e+19")

  -- Coercion of strings in arithmetic follows the lexer: integers stay integers.
  t("'10' + 1, '10.0' + 1, '0x10' + 0, ' 1 ' + 1, '1e1' + 0", 11, 11.0, 16, 2, 10.0)
  t("'10' * '2', '7' // '2', '7' % '4', '2' ^ '3', '9' / '3', - '4', -'-4'", 20, 3, 3, 8.0, 3.0, -4, 4)
  t("1 + '1' + '1'", 3)
  t("'0x7fffffffffffffff' + 1", MIN)
  t("'9223372036854775808' + 0", 0x1p63)
  -- The string metatable's words; its event names show.
  t("'abc' + 1", err "attempt to add a 'string' with a 'number'")
  t("1 - 'abc'", err "attempt to sub a 'number' with a 'string'")
  t("'' * 1", err "attempt to mul a 'string' with a 'number'")
  t("'1 2' / '3'", err "attempt to div a 'string' with a 'string'")
  t("-'x'", err "attempt to unm a 'string' with a 'string'")
  t("'x' + {}", err "attempt to add a 'string' with a 'table'")
  t("'1' == 1, '0' == 0, 1 == '1'", false, false, false)
  t("'1' < 2", err "attempt to compare string with number")
  t("2 < '1'", err "attempt to compare number with string")
  t("('10'):rep('2')", "1010")
  t("math.floor('3.7'), math.abs('-2.5'), ('abc'):sub('2')", 3, 2.5, "bc")
  t("string.char('65')", "A")
  t("({[1] = 'a'})['1']", nil)

  -- Every double survives %.17g and %a. The exponents run over all that there are.
  t("round trips", {}, function()
    local wrong = {}
    math.randomseed(20240, 17)
    for _ = 1, 1500 do
      local bits = math.random(0)
      local x = string.unpack("<d", string.pack("<j", bits))
      if x == x and x - x == 0 then
        local decimal, hex, short = ("%.17g"):format(x), ("%a"):format(x), ("%.14g"):format(x)
        if tonumber(decimal) ~= x or tonumber(hex) ~= x then wrong[#wrong + 1] = decimal end
        t.feed(x, tonumber(short))
      end
    end
    return wrong
  end)
  t("subnormal round trips", {}, function()
    local wrong = {}
    math.randomseed(5)
    for _ = 1, 100 do
      local x = string.unpack("<d", string.pack("<j", math.random(0) >> 12))
      local decimal = ("%.17g"):format(x)
      if tonumber(decimal) ~= x or tonumber(("%a"):format(x)) ~= x then wrong[#wrong + 1] = decimal end
      t.feed(decimal, tonumber(("%.9e"):format(x)))
    end
    return wrong
  end)
  t("integers round trip", {}, function()
    local wrong = {}
    math.randomseed(77)
    for i = 1, 300 do
      local x = math.random(0) >> i % 64
      if math.tointeger(tonumber(tostring(x))) ~= x or tonumber(("%d"):format(x)) ~= x
        or tonumber(("0x%x"):format(x)) ~= x then wrong[#wrong + 1] = x end
      t.feed(tostring(x), x + 0.0)
    end
    return wrong
  end)
  t("short decimals are read as the nearest double", {}, function()
    -- An integer below 2^53 over a power of ten up to 22 is one exact division: the right answer without a reader.
    local wrong = {}
    math.randomseed(3)
    for _ = 1, 500 do
      local digits, places = math.random(0) >> 11, math.random(0, 22)
      local power = 1.0
      for _ = 1, places do power = power * 10 end
      local text = ("%de-%d"):format(digits, places)
      if tonumber(text) ~= digits / power then wrong[#wrong + 1] = text end
      t.feed(text, tonumber(text))
    end
    return wrong
  end)
  t("long decimals, digested", 200, function()
    math.randomseed(8)
    for _ = 1, 200 do
      local digits = {}
      for i = 1, math.random(1, 60) do digits[i] = math.random(0, 9) end
      local text = table.concat(digits) .. "." .. math.random(0, MAX) .. "e" .. math.random(-330, 280)
      t.feed(tonumber(text))
    end
    return 200
  end)
end
