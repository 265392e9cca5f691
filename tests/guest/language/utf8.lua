--- utf8.*: coding and decoding, positions, strict and lax, and what is not UTF-8.
return function(t)
  local err = t.err
  local euro, gothic = "\xE2\x82\xAC", "\xF0\x90\x8D\x88" -- U+20AC, U+10348

  -- char
  t("utf8.char(), utf8.char(72), utf8.char(72, 228, 0x20AC, 0x10348)", "", "H", "H\xC3\xA4" .. euro .. gothic)
  t("utf8.char(0), utf8.char(0x7F), utf8.char(0x80)", "\0", "\x7F", "\xC2\x80")
  t("utf8.char(0x7FF), utf8.char(0x800), utf8.char(0xFFFF)", "\xDF\xBF", "\xE0\xA0\x80", "\xEF\xBF\xBF")
  t("utf8.char(0x10000), utf8.char(0x10FFFF)", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF")
  t("utf8.char(0x1FFFFF), utf8.char(0x200000)", "\xF7\xBF\xBF\xBF", "\xF8\x88\x80\x80\x80")
  t("utf8.char(0x3FFFFFF), utf8.char(0x4000000)", "\xFB\xBF\xBF\xBF\xBF", "\xFC\x84\x80\x80\x80\x80")
  t("utf8.char(0x7FFFFFFF)", "\xFD\xBF\xBF\xBF\xBF\xBF")
  t("utf8.char(0xD800)", "\xED\xA0\x80")
  t("utf8.char('65', 66.0)", "AB")
  t("utf8.char(-1)", err "bad argument #1 to 'char' (value out of range)")
  t("utf8.char(1, 0x80000000)", err "bad argument #2 to 'char' (value out of range)")
  t("utf8.char(1.5)", err "bad argument #1 to 'char' (number has no integer representation)")
  t("utf8.char('x')", err "bad argument #1 to 'char' (number expected, got string)")
  t("utf8.charpattern", "[\0-\x7F\xC2-\xFD][\x80-\xBF]*")

  -- codepoint
  t("utf8.codepoint('A'), utf8.codepoint('\\u{20AC}x')", 65, 0x20AC)
  t("utf8.codepoint('h\\u{e4}\\u{20AC}\\u{10348}', 1, -1)", 104, 0xE4, 0x20AC, 0x10348)
  t("utf8.codepoint('abc', 2)", 98)
  t("utf8.codepoint('abc', 2, 3)", 98, 99)
  t("utf8.codepoint('abc', 3, 2)")
  t("utf8.codepoint('abc', -1)", 99)
  t("utf8.codepoint('abc', -2, -1)", 98, 99)
  t("utf8.codepoint('', 1, 0)")
  t("utf8.codepoint('\\u{20AC}', 1, 1)", 0x20AC)
  t("utf8.codepoint('\\u{20AC}', 1, 3)", 0x20AC)
  t("utf8.codepoint('\\u{20AC}', 2)", err "invalid UTF-8 code")
  t("utf8.codepoint('abc', 4)", err "bad argument #3 to 'codepoint' (out of bounds)")
  t("utf8.codepoint('abc', 0)", err "bad argument #2 to 'codepoint' (out of bounds)")
  t("utf8.codepoint('abc', -4)", err "bad argument #2 to 'codepoint' (out of bounds)")
  t("utf8.codepoint('abc', 1, 4)", err "bad argument #3 to 'codepoint' (out of bounds)")
  t("utf8.codepoint('', 1)", err "bad argument #3 to 'codepoint' (out of bounds)")
  t("utf8.codepoint('\\xff')", err "invalid UTF-8 code")
  t("utf8.codepoint('\\u{7FFFFFFF}')", err "invalid UTF-8 code")
  t("utf8.codepoint('\\u{7FFFFFFF}', 1, 1, true)", 0x7FFFFFFF)
  t("utf8.codepoint('\\u{D800}')", err "invalid UTF-8 code")
  t("utf8.codepoint('\\u{D800}\\u{DFFF}', 1, -1, true)", 0xD800, 0xDFFF)
  t("utf8.codepoint('\\u{110000}')", err "invalid UTF-8 code")
  t("utf8.codepoint({})", err "bad argument #1 to 'codepoint' (string expected, got table)")

  -- len
  t("utf8.len(''), utf8.len('abc'), utf8.len('h\\u{e4}\\u{20AC}\\u{10348}')", 0, 3, 4)
  t("utf8.len('abc', 2), utf8.len('abc', 4), utf8.len('abc', -1), utf8.len('abc', 2, 2)", 2, 0, 1, 1)
  t("utf8.len('\\u{20AC}x', 1, 1), utf8.len('\\u{20AC}x', 4)", 1, 1)
  t("utf8.len('abc', 3, 1)", 0)
  t("utf8.len('ab\\xffcd')", nil, 3)
  t("utf8.len('\\u{20AC}', 2)", nil, 2)
  t("utf8.len('abc\\xE2\\x82')", nil, 4)
  t("utf8.len('\\xF4\\x90\\x80\\x80')", nil, 1)
  t("utf8.len('\\xF4\\x90\\x80\\x80', 1, -1, true)", 1)
  t("utf8.len('\\u{D7FF}\\u{E000}'), utf8.len('\\u{7FFFFFFF}', 1, -1, true)", 2, 1)
  t("utf8.len('a\\u{D800}')", nil, 2)
  t("utf8.len('abc', 5)", err "bad argument #2 to 'len' (initial position out of bounds)")
  t("utf8.len('abc', 0)", err "bad argument #2 to 'len' (initial position out of bounds)")
  t("utf8.len('abc', 1, 4)", err "bad argument #3 to 'len' (final position out of bounds)")
  t("utf8.len()", err "bad argument #1 to 'len' (string expected, got no value)")
  t("utf8.len(1234)", 4)

  -- What is not UTF-8: stray and missing continuations, overlong forms, bytes that never occur.
  for _, bad in ipairs {
    "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xE2\x82",
    "\xE2\x28\xA1", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
    "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80", "\xFC\x84\x80\x80\x80\x80", "\xFE", "\xFF",
    "\xFE\x80\x80\x80\x80\x80\x80", "\xF0\x90\x8D",
  } do
    local label = bad:gsub(".", function(c) return ("%02X"):format(c:byte()) end)
    t("not UTF-8: " .. label, nil, 2, function() return utf8.len("a" .. bad) end)
  end
  for _, bad in ipairs {"\xC0\x80", "\xE0\x80\x80", "\xF0\x80\x80\x80", "\xF8\x80\x80\x80\x80",
    "\xFC\x80\x80\x80\x80\x80", "\xFE\x80\x80\x80\x80\x80\x80", "\xFF", "\x80"} do
    local label = bad:gsub(".", function(c) return ("%02X"):format(c:byte()) end)
    t("not even lax: " .. label, nil, 1, function() return utf8.len(bad, 1, -1, true) end)
  end

  -- offset
  t("utf8.offset('abc', 1), utf8.offset('abc', 3), utf8.offset('abc', 4), utf8.offset('abc', 5)", 1, 3, 4, nil)
  t("utf8.offset('\\u{20AC}x', 2), utf8.offset('\\u{20AC}x', 3), utf8.offset('\\u{20AC}x', 4)", 4, 5, nil)
  t("utf8.offset('abc', -1), utf8.offset('abc', -3), utf8.offset('abc', -4)", 3, 1, nil)
  t("utf8.offset('x\\u{20AC}', -1), utf8.offset('x\\u{20AC}', -2)", 2, 1)
  t("utf8.offset('x\\u{20AC}', 0, 3), utf8.offset('x\\u{20AC}', 0, 1), utf8.offset('x\\u{20AC}', 0, 4)", 2, 1, 2)
  t("utf8.offset('x\\u{20AC}', 0), utf8.offset('abc', 0, 4)", 1, 4)
  t("utf8.offset('abc', 2, 2), utf8.offset('abc', -1, 3), utf8.offset('abc', 1, 4)", 3, 2, 4)
  t("utf8.offset('', 1), utf8.offset('', 0), utf8.offset('', 2), utf8.offset('', -1)", 1, 1, nil, nil)
  t("utf8.offset('\\u{20AC}', 1, 2)", err "initial position is a continuation byte")
  t("utf8.offset('abc', 1, 5)", err "bad argument #3 to 'offset' (position out of bounds)")
  t("utf8.offset('abc', 1, -4)", err "bad argument #3 to 'offset' (position out of bounds)")
  t("utf8.offset('abc')", err "bad argument #2 to 'offset' (number expected, got no value)")

  -- codes
  t("codes", {1, 104, 2, 0xE4, 4, 0x20AC, 7, 0x10348}, function()
    local list = {}
    for p, c in utf8.codes("h\u{e4}\u{20AC}\u{10348}") do
      list[#list + 1] = p
      list[#list + 1] = c
    end
    return list
  end)
  t("for _ in utf8.codes('') do error('none') end")
  t("for _ in utf8.codes('a\\xffb') do end", err "invalid UTF-8 code")
  t("for _ in utf8.codes('\\u{D800}') do end", err "invalid UTF-8 code")
  t("for _ in utf8.codes('\\xE2\\x82') do end", err "invalid UTF-8 code")
  t("local s = 0 for _, c in utf8.codes('\\u{D800}\\u{7FFFFFFF}', true) do s = s + c end return s", 0xD800 + 0x7FFFFFFF)
  t("utf8.codes()", err "bad argument #1 to 'codes' (string expected, got no value)")
  t("local f, s, i = utf8.codes('ab') return type(f), s, i, f(s, 0)", "function", "ab", 0, 1, 97)

  -- charpattern matches one sequence of a valid string.
  t("by charpattern", {"h", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x90\x8D\x88"}, function()
    local list = {}
    for c in ("h\u{e4}\u{20AC}\u{10348}"):gmatch(utf8.charpattern) do list[#list + 1] = c end
    return list
  end)

  -- Every thousandth code point, and all the edges, there and back.
  t("there and back", 0, function()
    local wrong, length = 0, 0
    local function try(code)
      local s = utf8.char(code)
      local surrogate = code >= 0xD800 and code <= 0xDFFF
      local strict = code <= 0x10FFFF and not surrogate
      if utf8.codepoint(s, 1, 1, true) ~= code or utf8.len(s, 1, -1, true) ~= 1 then wrong = wrong + 1 end
      if (utf8.len(s) == 1) ~= strict then wrong = wrong + 1 end
      if utf8.offset(s .. "x", 2) ~= #s + 1 or s:match("^" .. utf8.charpattern .. "$") ~= s then wrong = wrong + 1 end
      length = length + #s
    end
    for code = 0, 0x10FFFF, 997 do try(code) end
    for shift = 0, 30 do
      try((1 << shift) - 1)
      try(1 << shift)
    end
    t.feed(length)
    return wrong
  end)
  t("reversing by code points", gothic .. euro .. "\xC3\xA4h", function()
    local points = {utf8.codepoint("h\u{e4}\u{20AC}\u{10348}", 1, -1)}
    local back = {}
    for i = #points, 1, -1 do back[#back + 1] = utf8.char(points[i]) end
    return table.concat(back)
  end)
end
