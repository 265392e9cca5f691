--- string.* without patterns, format and pack: byte, char, len, lower, upper, rep, reverse, sub; concatenation; the
-- order of strings; methods; long and short strings.
return function(t)
  local err = t.err

  -- len and #: bytes, zeros among them.
  t("#'', #'a', #'a\\0b', ('\\0\\0'):len(), #'\\u{20AC}'", 0, 1, 3, 2, 3)
  t("string.len(123), string.len(1.0)", 3, 3)
  t("string.len()", err "bad argument #1 to 'len' (string expected, got no value)")
  t("string.len({})", err "bad argument #1 to 'len' (string expected, got table)")
  t("string.len(nil)", err "bad argument #1 to 'len' (string expected, got nil)")

  -- sub: positions from both ends, corrected into the string.
  t("('hello'):sub(2, 4), ('hello'):sub(2), ('hello'):sub(-3), ('hello'):sub(-3, -2)", "ell", "ello", "llo", "ll")
  t("('hello'):sub(0), ('hello'):sub(-100), ('hello'):sub(-100, 100)", "hello", "hello", "hello")
  t("('hello'):sub(4, 2), ('hello'):sub(6), ('hello'):sub(5, 5), ('hello'):sub(1, 0)", "", "", "o", "")
  t("('hello'):sub(1, -1), ('hello'):sub(1, -6), ('hello'):sub(-1, 1)", "hello", "", "")
  t("(''):sub(1), (''):sub(-1, 1), (''):sub(0, 0)", "", "", "")
  t("('hello'):sub(math.mininteger), ('hello'):sub(1, math.maxinteger)", "hello", "hello")
  t("('hello'):sub(math.mininteger, math.maxinteger), ('hello'):sub(math.maxinteger, math.mininteger)", "hello", "")
  t("('hello'):sub(2.0, '3')", "el")
  t("('hello'):sub()", err "bad argument #1 to 'sub' (number expected, got no value)")
  t("('hello'):sub('x')", err "bad argument #1 to 'sub' (number expected, got string)")
  t("('hello'):sub(1.5)", err "bad argument #1 to 'sub' (number has no integer representation)")
  t("string.sub(12345, 2, 3)", "23")
  t("sub against a model", {}, function()
    local s, wrong = "abcde", {}
    for i = -8, 8 do
      for j = -8, 8 do
        local first, last = i, j
        if first < 0 then first = #s + first + 1 end
        if last < 0 then last = #s + last + 1 end
        local want = ""
        for k = 1, #s do
          if k >= first and k <= last then want = want .. string.char(96 + k) end
        end
        if s:sub(i, j) ~= want then wrong[#wrong + 1] = {i, j} end
        t.feed(s:sub(i, j))
      end
    end
    return wrong
  end)

  -- byte and char.
  t("('A'):byte(), ('ABC'):byte(2), ('ABC'):byte(-1)", 65, 66, 67)
  t("('ABC'):byte(1, -1)", 65, 66, 67)
  t("('ABC'):byte(10)")
  t("(''):byte()")
  t("('ABC'):byte(0)")
  t("('ABC'):byte(3, 2)")
  t("('ABC'):byte(-10, 10)", 65, 66, 67)
  t("('\\0\\255'):byte(1, 2)", 0, 255)
  t("('ABC'):byte(2, 3)", 66, 67)
  t("('ABC'):byte({}, 2)", err "bad argument #1 to 'byte' (number expected, got table)")
  t("string.char(), string.char(72, 101), string.char(0, 255)", "", "He", "\0\xFF")
  t("string.char(256)", err "bad argument #1 to 'char' (value out of range)")
  t("string.char(65, -1)", err "bad argument #2 to 'char' (value out of range)")
  t("string.char('x')", err "bad argument #1 to 'char' (number expected, got string)")
  t("string.char(1.5)", err "bad argument #1 to 'char' (number has no integer representation)")
  t("every byte there and back", {}, function()
    local wrong, all = {}, {}
    for i = 0, 255 do
      local s = string.char(i)
      if #s ~= 1 or s:byte() ~= i then wrong[#wrong + 1] = i end
      all[#all + 1] = s
    end
    local whole = table.concat(all)
    for i = 0, 255 do
      if whole:byte(i + 1) ~= i then wrong[#wrong + 1] = i end
    end
    t.feed(whole)
    return wrong
  end)

  -- lower, upper: the C locale's letters and no others.
  t("('Hello World 1'):lower(), ('Hello World 1'):upper()", "hello world 1", "HELLO WORLD 1")
  t("(''):lower(), ('\\0A\\0'):lower()", "", "\0a\0")
  t("only A to Z have another case", 26, 26, 0, function()
    local down, up, beyond = 0, 0, 0
    for i = 0, 255 do
      local s = string.char(i)
      if s:lower() ~= s then down = down + 1 end
      if s:upper() ~= s then up = up + 1 end
      if i > 127 and (s:lower() ~= s or s:upper() ~= s) then beyond = beyond + 1 end
    end
    return down, up, beyond
  end)
  t("string.upper(12), string.lower(1e100)", "12", "1e+100")
  t("string.upper()", err "bad argument #1 to 'upper' (string expected, got no value)")

  -- rep, reverse.
  t("('ab'):rep(3), ('ab'):rep(1), ('ab'):rep(0), ('ab'):rep(-1), (''):rep(100)", "ababab", "ab", "", "", "")
  t("('ab'):rep(3, ','), ('ab'):rep(1, ','), ('ab'):rep(0, ','), (''):rep(3, '-')", "ab,ab,ab", "ab", "", "--")
  t("('a\\0'):rep(2, '\\0\\0')", "a\0\0\0a\0")
  t("#('x'):rep(100000), #('ab'):rep(1000, 'xyz')", 100000, 4997)
  t("string.rep(1, 3), string.rep('x', '2')", "111", "xx")
  t("('x'):rep()", err "bad argument #1 to 'rep' (number expected, got no value)")
  t("string.rep('x')", err "bad argument #2 to 'rep' (number expected, got no value)")
  t("string.rep('x', 3, {})", err "bad argument #3 to 'rep' (string expected, got table)")
  t("('xx'):rep(math.maxinteger)", err "resulting string too large")
  t("('x'):rep(math.maxinteger, 'y')", err "resulting string too large")
  t("('x'):rep((1 << 62) + 1, 'y')", err "resulting string too large")

  t("('x'):rep(math.mininteger)", "")
  t("('hello'):reverse(), (''):reverse(), ('a'):reverse(), ('a\\0b'):reverse()", "olleh", "", "a", "b\0a")
  t("string.reverse(123)", "321")
  t("string.reverse()", err "bad argument #1 to 'reverse' (string expected, got no value)")

  -- Concatenation.
  t("'a' .. 'b' .. 'c', '' .. '', 'a' .. 1, 1 .. 2, 1.5 .. 'x', -1 .. ''", "abc", "", "a1", "12", "1.5x", "-1")
  t("'a' .. nil", err "attempt to concatenate a nil value")
  t("'a' .. {}", err "attempt to concatenate a table value")
  t("{} .. 'a'", err "attempt to concatenate a table value")
  t("local a = {} return a .. 'x'", err "attempt to concatenate a table value (local 'a')")
  t("'x' .. true", err "attempt to concatenate a boolean value")
  t("'x' .. 'y' .. print", err "attempt to concatenate a function value (global 'print')")
  t("concat of many pieces", 5050, function()
    local s = ""
    for i = 1, 100 do s = s .. ("x"):rep(i) end
    return #s
  end)
  t("a\\0b .. c\\0d", "a\0bc\0d", function()
    local a, c = "a\0b", "c\0d"
    return a .. c
  end)

  -- Order and equality: bytes, as unsigned; zeros count; a prefix comes first. (In the C locale; strcoll elsewhere.)
  t("'a' < 'b', 'a' < 'B', 'Z' < 'a', '' < 'a', 'a' < 'aa', 'aa' < 'b'", true, false, true, true, true, true)
  t("'a' <= 'a', 'a' < 'a', 'b' > 'a', 'b' >= 'c'", true, false, true, false)
  t("'a\\0b' < 'a\\0c', 'a\\0' > 'a', 'a\\0b' == 'a\\0b', 'a\\0' < 'a\\1', '\\0' > ''", true, true, true, true, true)
  t("'a\\0z' < 'ab', 'a\\0\\0' < 'a\\0a', '\\0\\0b' < '\\0\\0a'", true, true, false)
  t("'10' < '9', '10' < '1', '-1' < '1'", true, false, true)
  t("'\\127' < '\\128', 'z' < '\\255', '\\200' < '\\201'", true, true, true)
  t("order of all two-byte strings of a few", {}, function()
    local wrong, bytes = {}, {0, 1, 65, 97, 127, 128, 255}
    for _, a in ipairs(bytes) do
      for _, b in ipairs(bytes) do
        for _, c in ipairs(bytes) do
          for _, d in ipairs(bytes) do
            local x, y = string.char(a, b), string.char(c, d)
            if (x < y) ~= (a < c or a == c and b < d) or (x == y) ~= (a == c and b == d) or (x <= y) == (y < x) then
              wrong[#wrong + 1] = {a, b, c, d}
            end
          end
        end
      end
    end
    return wrong
  end)

  -- Short strings (up to 40 bytes) are made once, long ones are compared: equality and keys do not care.
  for _, n in ipairs {0, 1, 39, 40, 41, 42, 100, 5000} do
    t(("equal strings of %d bytes"):format(n), true, true, "v", false, function()
      local a, b = ("x"):rep(n), ("x"):rep(n // 2) .. ("x"):rep(n - n // 2)
      return a == b, rawequal(a, b), ({[a] = "v"})[b], a == ("x"):rep(n) .. "y"
    end)
  end
  t("strings as keys that differ late", 0, function()
    local keys, wrong = {}, 0
    for i = 1, 300 do keys[("k"):rep(60) .. i] = i end
    for i = 1, 300 do
      if keys[("k"):rep(60) .. i] ~= i then wrong = wrong + 1 end
    end
    return wrong
  end)

  -- Methods, and strings indexed.
  t("('x').rep == string.rep, ('x').y, ('x')[1]", true, nil, nil)
  t("local s = 'abc' return s:upper():lower():len()", 3)
  t("#'abc':upper()", err "unexpected symbol near '#'")
  t("('%d'):format(5), ('a,b'):find(',', 1, true)", "5", 2, 2)
  t("('x').y.z", err "attempt to index a nil value (field 'y')")
  t("local s = 'x' s.y = 1", err "attempt to index a string value (local 's')")
  t("('x'):nosuch()", err "attempt to call a nil value (method 'nosuch')")
  t("the string metatable can be extended", "<x>", nil, function()
    rawset(string, "wrapped", function(s) return "<" .. s .. ">" end)
    local got = ("x"):wrapped()
    rawset(string, "wrapped", nil)
    return got, ("x").wrapped
  end)
  t("functions of string", {}, function()
    local missing = {}
    for name in ("byte char dump find format gmatch gsub len lower match pack packsize rep reverse sub unpack " ..
      "upper"):gmatch("%l+") do
      if type(string[name]) ~= "function" then missing[#missing + 1] = name end
    end
    return missing
  end)
  t("building and taking apart", "the quick brown fox", function()
    local words = {}
    for _, w in ipairs {"fox", "brown", "quick", "the"} do table.insert(words, 1, w) end
    return table.concat(words, " ")
  end)
  t("a long string by doubling", 65536, 120, 121, function()
    local s = "xy"
    while #s < 65536 do s = s .. s end
    return #s, s:byte(65535), s:byte(-1)
  end)
end
