--- string.pack, packsize, unpack: every option in both byte orders, alignment, limits, and errors.
return function(t)
  local err = t.err
  local MIN, MAX, inf = math.mininteger, math.maxinteger, math.huge

  -- A row packs one value, and unpacks to it again with the position after it.
  local function row(spec, value, bytes, back)
    if back == nil then back = value end
    t(("pack(%q, %s)"):format(spec, tostring(value):gsub("%c", "?")), bytes, back, #bytes + 1, function()
      local packed = string.pack(spec, value)
      return packed, string.unpack(spec, packed)
    end)
  end

  row("<b", 127, "\x7F")
  row("<b", -128, "\x80")
  row("<b", -1, "\xFF")
  row("<B", 255, "\xFF")
  row("<B", 0, "\0")
  row("<h", -2, "\xFE\xFF")
  row(">h", -2, "\xFF\xFE")
  row("<h", 0x1234, "\x34\x12")
  row(">H", 0xFFFE, "\xFF\xFE")
  row("<i", -2, "\xFE\xFF\xFF\xFF")
  row(">i", 0x01020304, "\1\2\3\4")
  row("<I", 0xFFFFFFFF, "\xFF\xFF\xFF\xFF")
  row("<l", -2, "\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF")
  row(">L", 1, "\0\0\0\0\0\0\0\1")
  row("<j", MIN, "\0\0\0\0\0\0\0\x80")
  row(">j", MAX, "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF")
  row("<J", -1, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")
  row(">T", 0x0102030405060708, "\1\2\3\4\5\6\7\8")
  row("<i1", -1, "\xFF")
  row("<i3", -2, "\xFE\xFF\xFF")
  row(">i3", 0x010203, "\1\2\3")
  row("<I3", 0xFFFFFE, "\xFE\xFF\xFF")
  row("<i5", -1, "\xFF\xFF\xFF\xFF\xFF")
  row("<i7", MIN >> 8 | ~(-1 >> 8), "\0\0\0\0\0\0\x80")
  row("<i8", -3, "\xFD\xFF\xFF\xFF\xFF\xFF\xFF\xFF")
  row("<i9", -3, "\xFD\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")
  row(">i16", -3, ("\xFF"):rep(15) .. "\xFD")
  row("<i16", MAX, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F" .. ("\0"):rep(8))
  row("<I16", 7, "\7" .. ("\0"):rep(15))
  row(">I12", 0x0102, ("\0"):rep(10) .. "\1\2")
  row("<I9", -1, ("\xFF"):rep(8) .. "\0")
  row("<f", 1.5, "\0\0\xC0\x3F")
  row(">f", -2.0, "\xC0\0\0\0")
  row("<f", 0.1, "\xCD\xCC\xCC\x3D", 0x1.99999ap-4)
  row("<f", 1e40, "\0\0\x80\x7F", inf)
  row("<f", 0x1p-149, "\1\0\0\0")
  row("<f", 0x1p-150, "\0\0\0\0", 0.0)
  row("<f", 0x1.fffffefp127, "\xFF\xFF\x7F\x7F", 0x1.fffffep127)
  row("<f", 16777217, "\0\0\x80\x4B", 16777216.0)
  row("<d", 1.5, "\0\0\0\0\0\0\xF8\x3F")
  row(">d", 0.1, "\x3F\xB9\x99\x99\x99\x99\x99\x9A")
  row("<d", -0.0, "\0\0\0\0\0\0\0\x80")
  row("<d", inf, "\0\0\0\0\0\0\xF0\x7F")
  row("<n", 1, "\0\0\0\0\0\0\xF0\x3F", 1.0)
  row(">n", -inf, "\xFF\xF0\0\0\0\0\0\0")
  row("<d", 5e-324, "\1\0\0\0\0\0\0\0")
  row("z", "text", "text\0")
  row("z", "", "\0")
  row("<s1", "abc", "\3abc")
  row("<s2", "abc", "\3\0abc")
  row(">s2", "abc", "\0\3abc")
  row("<s4", "", "\0\0\0\0")
  row("<s", "xy", "\2\0\0\0\0\0\0\0xy")
  row(">s8", "\0", "\0\0\0\0\0\0\0\1\0")
  row("<s3", "a\0b", "\3\0\0a\0b")
  row("c3", "abc", "abc")
  row("c5", "abc", "abc\0\0", "abc\0\0")
  row("c0", "", "")
  row("<i4", "17", "\17\0\0\0", 17)
  row("<i4", 17.0, "\17\0\0\0", 17)
  row("<d", "1.5", "\0\0\0\0\0\0\xF8\x3F", 1.5)
  row("<s1", 12, "\00212", "12")

  -- NaN travels as a NaN.
  t("NaN", true, true, function()
    local d, f = string.unpack("<d", string.pack("<d", 0 / 0)), string.unpack("<f", string.pack("<f", 0 / 0))
    return d ~= d, f ~= f
  end)

  -- Several values, spaces, orders changed underway. Native here is little endian, on the host as in the guest.
  t("string.pack('<i2 >i2 =i2', 1, 1, 1)", "\1\0\0\1\1\0")
  t("string.pack('i2', 1) == string.pack('<i2', 1)", true)
  t("string.pack(' < i1 i1 ', 1, 2)", "\1\2")
  t("string.pack('')", "")
  t("string.pack('i1x i1', 1, 2)", "\1\0\2")
  t("string.pack('xxx')", "\0\0\0")
  t("string.unpack('<i2 i4 z s1 B', string.pack('<i2 i4 z s1 B', -1, 70000, 'zero', 'counted', 9))",
    -1, 70000, "zero", "counted", 9, 21)
  t("string.unpack('<I2', 'abcd')", 0x6261, 3)
  t("string.unpack('<I2', 'abcd', 3)", 0x6463, 5)
  t("string.unpack('<I2', 'abcd', -2)", 0x6463, 5)
  t("string.unpack('<I2', 'abcd', -4)", 0x6261, 3)
  t("string.unpack('z', 'ab\\0cd\\0', 4)", "cd", 7)
  t("string.unpack('', 'abc')", 1)
  t("string.unpack('', 'abc', 4)", 4)
  t("string.unpack('', '')", 1)
  t("string.unpack('x', 'a')", 2)
  t("string.unpack('c2', 'abc')", "ab", 3)
  t("string.unpack('c0', '')", "", 1)
  t("string.unpack('<i1', '\\255'), (string.unpack('<I1', '\\255'))", -1, 255)
  t("string.unpack('<i16', ('\\255'):rep(16))", -1, 17)
  t("string.unpack('<I16', '\\1' .. ('\\0'):rep(15))", 1, 17)
  t("string.unpack('<I9', ('\\255'):rep(8) .. '\\0')", -1, 10)

  -- Alignment: only with "!", to the lesser of the size and the limit; "Xop" aligns and is empty.
  t("string.pack('<i1 i4', 1, 2)", "\1\2\0\0\0")
  t("string.pack('<!0 i1', 1)", err "integral size (0) out of limits [1,16]")
  t("string.pack('<!4 i1 i4', 1, 2)", "\1\0\0\0\2\0\0\0")
  t("string.pack('<!2 i1 i4', 1, 2)", "\1\0\2\0\0\0")
  t("string.pack('<!8 i1 i8', 1, 2)", "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0")
  t("string.pack('<! i1 i8', 1, 2)", "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0")
  t("string.pack('<!4 i1 i8', 1, 2)", "\1\0\0\0\2\0\0\0\0\0\0\0")
  t("string.pack('<!4 i1 i2 i4', 1, 2, 3)", "\1\0\2\0\3\0\0\0")
  t("string.pack('<!4 i1 !1 i4', 1, 2)", "\1\2\0\0\0")
  t("string.pack('<!4 i1 Xi4', 1)", "\1\0\0\0")
  t("string.pack('<!4 i1 Xi4 i1', 1, 2)", "\1\0\0\0\2")
  t("string.pack('<!8 Xd i1', 1)", "\1")
  t("string.pack('<!4 i1 s2', 1, 'ab')", "\1\0\2\0ab")
  t("string.pack('<!4 i1 c2 i4', 1, 'ab', 3)", "\1ab\0\3\0\0\0")
  t("string.pack('<!4 i1 z i4', 1, 'ab', 3)", "\1ab\0\3\0\0\0")
  t("string.pack('<!4 i1 d', 1, 0.0)", "\1\0\0\0\0\0\0\0\0\0\0\0")
  t("string.unpack('<!4 i1 i4', '\\1\\0\\0\\0\\2\\0\\0\\0')", 1, 2, 9)
  t("string.unpack('<!4 i4', 'xx\\0\\0\\2\\0\\0\\0', 3)", 2, 9)
  t("string.pack('<i1 Xi4 i1', 1, 2)", "\1\2")
  t("string.pack('!4 i3', 1)", err "bad argument #1 to 'pack' (format asks for alignment not power of 2)")
  t("string.pack('!4 Xi3')", err "bad argument #1 to 'pack' (format asks for alignment not power of 2)")
  t("string.pack('X')", err "bad argument #1 to 'pack' (invalid next option for option 'X')")
  t("string.pack('Xz')", err "bad argument #1 to 'pack' (invalid next option for option 'X')")
  t("string.pack('Xc1')", err "bad argument #1 to 'pack' (invalid next option for option 'X')")
  t("string.pack('X i4')", err "bad argument #1 to 'pack' (invalid next option for option 'X')")

  -- packsize
  t("string.packsize('<b h i j'), string.packsize('i8'), string.packsize('')", 15, 8, 0)
  t("string.packsize('b'), string.packsize('h'), string.packsize('i'), string.packsize('l')", 1, 2, 4, 8)
  t("string.packsize('j'), string.packsize('T'), string.packsize('f'), string.packsize('d'), string.packsize('n')",
    8, 8, 4, 8, 8)
  t("string.packsize('!4 i1 i4'), string.packsize('!8 i1 i8'), string.packsize('! b d b')", 8, 16, 17)
  t("string.packsize('c10'), string.packsize('x'), string.packsize('!8 b Xd'), string.packsize('i16')", 10, 1, 8, 16)
  t("string.packsize('s')", err "bad argument #1 to 'packsize' (variable-length format)")
  t("string.packsize('z')", err "bad argument #1 to 'packsize' (variable-length format)")
  t("string.packsize('c2000000000')", 2000000000)
  t("string.packsize('c2000000000c2000000000')", err "bad argument #1 to 'packsize' (format result too large)")
  t("string.packsize()", err "bad argument #1 to 'packsize' (string expected, got no value)")

  -- What does not fit.
  t("string.pack('b', 128)", err "bad argument #2 to 'pack' (integer overflow)")
  t("string.pack('b', -129)", err "bad argument #2 to 'pack' (integer overflow)")
  t("string.pack('B', 256)", err "bad argument #2 to 'pack' (unsigned overflow)")
  t("string.pack('B', -1)", err "bad argument #2 to 'pack' (unsigned overflow)")
  t("string.pack('i1 h', 1, 32768)", err "bad argument #3 to 'pack' (integer overflow)")
  t("string.pack('I3', 1 << 24)", err "bad argument #2 to 'pack' (unsigned overflow)")
  t("string.pack('i7', 1 << 55)", err "bad argument #2 to 'pack' (integer overflow)")
  t("string.pack('i', 1 << 31)", err "bad argument #2 to 'pack' (integer overflow)")
  t("string.pack('s1', ('x'):rep(256))", err "bad argument #2 to 'pack' (string length does not fit in given size)")
  t("#string.pack('s1', ('x'):rep(255)), #string.pack('s2', ('x'):rep(256))", 256, 258)
  t("string.pack('c2', 'abc')", err "bad argument #2 to 'pack' (string longer than given size)")
  t("string.pack('z', 'a\\0b')", err "bad argument #2 to 'pack' (string contains zeros)")
  t("string.pack('i0', 1)", err "integral size (0) out of limits [1,16]")
  t("string.pack('i17', 1)", err "integral size (17) out of limits [1,16]")
  t("string.pack('s17', '')", err "integral size (17) out of limits [1,16]")
  t("string.pack('!17')", err "integral size (17) out of limits [1,16]")
  t("string.pack('c', 'x')", err "missing size for format option 'c'")
  t("string.pack('y', 1)", err "invalid format option 'y'")
  -- (A nil stands between arguments and buffer inside; the message shows it.)
  t("string.pack('i4')", err "bad argument #2 to 'pack' (number expected, got nil)")
  t("string.pack('i4', 'x')", err "bad argument #2 to 'pack' (number expected, got string)")
  t("string.pack('i4', 1.5)", err "bad argument #2 to 'pack' (number has no integer representation)")
  t("string.pack('d', {})", err "bad argument #2 to 'pack' (number expected, got table)")
  t("string.pack('z', nil)", err "bad argument #2 to 'pack' (string expected, got nil)")
  t("string.unpack('i4', 'abc')", err "bad argument #2 to 'unpack' (data string too short)")
  t("string.unpack('i1', 'abc', 4)", err "bad argument #2 to 'unpack' (data string too short)")
  t("string.unpack('i1', 'abc', 5)", err "bad argument #3 to 'unpack' (initial position out of string)")
  t("string.unpack('<i4', 'abcd', -5)", 0x64636261, 5)
  t("string.unpack('z', 'abc')", err "bad argument #2 to 'unpack' (unfinished string for format 'z')")
  t("string.unpack('s1', '\\5abc')", err "bad argument #2 to 'unpack' (data string too short)")
  t("string.unpack('<s8', '\\255\\255\\255\\255\\255\\255\\255\\255')",
    err "bad argument #2 to 'unpack' (data string too short)")
  t("string.unpack('c5', 'abc')", err "bad argument #2 to 'unpack' (data string too short)")
  t("string.unpack('<i16', ('\\0'):rep(15) .. '\\1')", err "16-byte integer does not fit into Lua Integer")
  t("string.unpack('<i9', ('\\0'):rep(8) .. '\\1')", err "9-byte integer does not fit into Lua Integer")
  t("string.unpack('<i9', ('\\255'):rep(8) .. '\\0')", err "9-byte integer does not fit into Lua Integer")
  t("string.unpack('<I9', ('\\255'):rep(9))", err "9-byte integer does not fit into Lua Integer")

  -- All sizes, both orders, random values, against shifts.
  t("integers of every size", 0, function()
    local wrong = 0
    math.randomseed(31)
    for size = 1, 16 do
      for _ = 1, 12 do
        local value = math.random(0)
        if size < 8 then value = value >> 64 - 8 * size end
        local packed = string.pack(">I" .. size, value)
        t.feed(packed)
        local bytes, want = {packed:byte(1, -1)}, 0
        for _, byte in ipairs(bytes) do want = want << 8 | byte end
        if #bytes ~= size or want ~= value then wrong = wrong + 1 end
        if string.pack("<I" .. size, value) ~= packed:reverse() then wrong = wrong + 1 end
        if string.unpack(">I" .. size, packed) ~= value then wrong = wrong + 1 end
        local signed = size < 8 and (value << 64 - 8 * size) // (1 << 62) or value
        if size >= 8 and string.unpack("<i" .. size, string.pack("<i" .. size, signed)) ~= signed then
          wrong = wrong + 1
        end
      end
    end
    return wrong
  end)
  t("floats to single", 0, function()
    local wrong = 0
    math.randomseed(32)
    for _ = 1, 200 do
      local f = string.unpack("<f", string.pack("<I4", math.random(0) >> 32))
      if f == f then
        -- A float in a double converts back to the same float; a hair beside it, too.
        if string.unpack(">f", string.pack(">f", f)) ~= f then wrong = wrong + 1 end
        local d = math.random() * 2.0 ^ math.random(-140, 120)
        t.feed(f, (string.unpack("<f", string.pack("<f", d))))
      end
    end
    return wrong
  end)
  t("a record of everything", 16, function()
    local spec = "<!4 b B h H i4 I4 j J f d n s1 s2 z c4 i3"
    local list = {-1, 255, -300, 60000, -70000, 4000000000, MIN, -1, 0.5, 0.1, 1e300, "one", "two", "three", "four", -5}
    local ok, packed = pcall(string.pack, spec:gsub("i3", "!1 i3"), table.unpack(list))
    if not ok then error(packed, 0) end
    t.feed(packed)
    local n = 0
    for i, value in ipairs {string.unpack(spec:gsub("i3", "!1 i3"), packed)} do
      if value == list[i] then n = n + 1 end
    end
    return n
  end)
end
