--- Digests and ciphers in plain Lua, held against their published vectors: 64-bit and 32-bit arithmetic, shifts, bytes
-- and strings, worked hard, with answers that are not ours.
return function(t)
  local harness = require "language.harness"

  local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

  -- FNV-1a, 64 bits (the harness's own).
  local function fnv(s) return ("%016x"):format(harness.fnv(harness.basis, s)) end
  t("fnv of nothing", "cbf29ce484222325", function() return fnv("") end)
  t("fnv of a", "af63dc4c8601ec8c", function() return fnv("a") end)
  t("fnv of foobar", "85944171f73967e8", function() return fnv("foobar") end)

  -- CRC-32 (ISO 3309), Adler-32.
  local crc_table = {}
  for i = 0, 255 do
    local c = i
    for _ = 1, 8 do c = c & 1 == 1 and 0xEDB88320 ~ c >> 1 or c >> 1 end
    crc_table[i] = c
  end
  local function crc32(s)
    local c = 0xFFFFFFFF
    for i = 1, #s do c = crc_table[(c ~ s:byte(i)) & 0xFF] ~ c >> 8 end
    return c ~ 0xFFFFFFFF
  end
  local function adler32(s)
    local a, b = 1, 0
    for i = 1, #s do
      a = (a + s:byte(i)) % 65521
      b = (b + a) % 65521
    end
    return b << 16 | a
  end
  t("crc32 of 123456789", 0xCBF43926, function() return crc32("123456789") end)
  t("crc32 of nothing", 0, function() return crc32("") end)
  t("crc32 of the fox", 0x414FA339, function() return crc32("The quick brown fox jumps over the lazy dog") end)
  t("adler32 of Wikipedia", 0x11E60398, function() return adler32("Wikipedia") end)

  -- MD5 (RFC 1321): its constants are made with the sine, floor(2^32 * |sin(i)|); the sine must be right to 2^-32.
  local shifts = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21}
  local function md5(s)
    local a0, b0, c0, d0 = 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476
    local padded = s .. "\x80" .. ("\0"):rep((55 - #s) % 64) .. string.pack("<I8", #s * 8)
    for at = 1, #padded, 64 do
      local m = {string.unpack("<" .. ("I4"):rep(16), padded, at)}
      local a, b, c, d = a0, b0, c0, d0
      for i = 0, 63 do
        local f, g
        if i < 16 then
          f, g = b & c | ~b & d, i
        elseif i < 32 then
          f, g = d & b | ~d & c, (5 * i + 1) % 16
        elseif i < 48 then
          f, g = b ~ c ~ d, (3 * i + 5) % 16
        else
          f, g = c ~ (b | ~d), 7 * i % 16
        end
        local k = math.floor(0x1p32 * math.abs(math.sin(i + 1)))
        local r = shifts[i // 16 * 4 + i % 4 + 1]
        f = f + a + k + m[g + 1] & 0xFFFFFFFF
        a, d, c = d, c, b
        b = b + (f << r | f >> 32 - r) & 0xFFFFFFFF
      end
      a0, b0, c0, d0 = a0 + a & 0xFFFFFFFF, b0 + b & 0xFFFFFFFF, c0 + c & 0xFFFFFFFF, d0 + d & 0xFFFFFFFF
    end
    return hex(string.pack("<I4I4I4I4", a0, b0, c0, d0))
  end
  t("md5 of nothing", "d41d8cd98f00b204e9800998ecf8427e", function() return md5("") end)
  t("md5 of abc", "900150983cd24fb0d6963f7d28e17f72", function() return md5("abc") end)
  t("md5 of 80 digits", "57edf4a22be3c955ac49da2e2107b67a", function() return md5(("1234567890"):rep(8)) end)

  -- SHA-1 and SHA-256 (FIPS 180-4).
  local function sha1(s)
    local h0, h1, h2, h3, h4 = 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0
    local function rol(x, n) return (x << n | x >> 32 - n) & 0xFFFFFFFF end
    local padded = s .. "\x80" .. ("\0"):rep((55 - #s) % 64) .. string.pack(">I8", #s * 8)
    for at = 1, #padded, 64 do
      local w = {string.unpack(">" .. ("I4"):rep(16), padded, at)}
      for i = 17, 80 do w[i] = rol(w[i - 3] ~ w[i - 8] ~ w[i - 14] ~ w[i - 16], 1) end
      local a, b, c, d, e = h0, h1, h2, h3, h4
      for i = 1, 80 do
        local f, k
        if i <= 20 then
          f, k = b & c | ~b & d, 0x5A827999
        elseif i <= 40 then
          f, k = b ~ c ~ d, 0x6ED9EBA1
        elseif i <= 60 then
          f, k = b & c | b & d | c & d, 0x8F1BBCDC
        else
          f, k = b ~ c ~ d, 0xCA62C1D6
        end
        a, b, c, d, e = rol(a, 5) + (f & 0xFFFFFFFF) + e + k + w[i] & 0xFFFFFFFF, a, rol(b, 30), c, d
      end
      h0, h1, h2, h3, h4 = h0 + a & 0xFFFFFFFF, h1 + b & 0xFFFFFFFF, h2 + c & 0xFFFFFFFF, h3 + d & 0xFFFFFFFF,
        h4 + e & 0xFFFFFFFF
    end
    return ("%08x%08x%08x%08x%08x"):format(h0, h1, h2, h3, h4)
  end
  t("sha1 of abc", "a9993e364706816aba3e25717850c26c9cd0d89d", function() return sha1("abc") end)
  t("sha1 of nothing", "da39a3ee5e6b4b0d3255bfef95601890afd80709", function() return sha1("") end)

  --- Fractional bits of roots of the first primes, in integers: no float has a part in it.
  local function root_bits(n, power, bits)
    -- The largest r with r^power <= n * 2^(power*bits), by bits, in numbers kept as lists of 16 bit digits.
    local function multiply(a, b)
      local r = {}
      for i = 1, #a + #b do r[i] = 0 end
      for i = 1, #a do
        local carry = 0
        for j = 1, #b do
          local v = r[i + j - 1] + a[i] * b[j] + carry
          r[i + j - 1], carry = v & 0xFFFF, v >> 16
        end
        r[i + #b] = r[i + #b] + carry
      end
      return r
    end
    local function compare(a, b)
      for i = math.max(#a, #b), 1, -1 do
        local x, y = a[i] or 0, b[i] or 0
        if x ~= y then return x < y and -1 or 1 end
      end
      return 0
    end
    local target = {}
    for i = 1, power * bits // 16 do target[i] = 0 end
    target[#target + 1] = n
    local root = 0
    for bit = bits + 4, 0, -1 do
      local try = root | 1 << bit
      local digits = {try & 0xFFFF, try >> 16 & 0xFFFF, try >> 32 & 0xFFFF}
      local product = digits
      for _ = 2, power do product = multiply(product, digits) end
      if compare(product, target) <= 0 then root = try end
    end
    return root & (1 << bits) - 1
  end
  local primes = {}
  do
    local n = 2
    while #primes < 64 do
      local prime = true
      for _, p in ipairs(primes) do
        if n % p == 0 then
          prime = false
          break
        end
      end
      if prime then primes[#primes + 1] = n end
      n = n + 1
    end
  end
  local K, H = {}, {}
  for i = 1, 64 do K[i] = root_bits(primes[i], 3, 32) end
  for i = 1, 8 do H[i] = root_bits(primes[i], 2, 32) end
  t("sha256's first and last constants", 0x428a2f98, 0xc67178f2, 0x6a09e667, 0x5be0cd19, function()
    return K[1], K[64], H[1], H[8]
  end)
  local function sha256(s)
    local h = table.move(H, 1, 8, 1, {})
    local function ror(x, n) return (x >> n | x << 32 - n) & 0xFFFFFFFF end
    local padded = s .. "\x80" .. ("\0"):rep((55 - #s) % 64) .. string.pack(">I8", #s * 8)
    for at = 1, #padded, 64 do
      local w = {string.unpack(">" .. ("I4"):rep(16), padded, at)}
      for i = 17, 64 do
        local x, y = w[i - 15], w[i - 2]
        local s0, s1 = ror(x, 7) ~ ror(x, 18) ~ x >> 3, ror(y, 17) ~ ror(y, 19) ~ y >> 10
        w[i] = w[i - 16] + s0 + w[i - 7] + s1 & 0xFFFFFFFF
      end
      local a, b, c, d, e, f, g, z = table.unpack(h)
      for i = 1, 64 do
        local t1 = z + (ror(e, 6) ~ ror(e, 11) ~ ror(e, 25)) + (e & f ~ ~e & g) + K[i] + w[i]
        local t2 = (ror(a, 2) ~ ror(a, 13) ~ ror(a, 22)) + (a & b ~ a & c ~ b & c)
        z, g, f, e, d, c, b, a = g, f, e, d + t1 & 0xFFFFFFFF, c, b, a, t1 + t2 & 0xFFFFFFFF
      end
      for i, v in ipairs {a, b, c, d, e, f, g, z} do h[i] = h[i] + v & 0xFFFFFFFF end
    end
    return ("%08x"):rep(8):format(table.unpack(h))
  end
  t("sha256 of nothing", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", function()
    return sha256("")
  end)
  t("sha256 of abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", function()
    return sha256("abc")
  end)
  t("sha256 of 448 bits", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", function()
    return sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
  end)
  t("sha256 of 5000 a", true, function()
    local digest = sha256(("a"):rep(5000))
    t.feed(digest)
    return #digest == 64
  end)

  -- RC4, SipHash-2-4, base64.
  local function rc4(key, s)
    local box, j = {}, 0
    for i = 0, 255 do box[i] = i end
    for i = 0, 255 do
      j = (j + box[i] + key:byte(i % #key + 1)) & 0xFF
      box[i], box[j] = box[j], box[i]
    end
    local out, a, b = {}, 0, 0
    for i = 1, #s do
      a = a + 1 & 0xFF
      b = b + box[a] & 0xFF
      box[a], box[b] = box[b], box[a]
      out[i] = string.char(s:byte(i) ~ box[box[a] + box[b] & 0xFF])
    end
    return table.concat(out)
  end
  t("rc4", "bbf316e8d940af0ad3", "Plaintext", function()
    return hex(rc4("Key", "Plaintext")), rc4("Key", rc4("Key", "Plaintext"))
  end)
  t("siphash of 15 bytes", "a129ca6149be45e5", function()
    local bytes = "\0\1\2\3\4\5\6\7\8\9\10\11\12\13\14"
    local k0, k1 = string.unpack("<i8i8", bytes .. "\15")
    local v0, v1 = k0 ~ 0x736f6d6570736575, k1 ~ 0x646f72616e646f6d
    local v2, v3 = k0 ~ 0x6c7967656e657261, k1 ~ 0x7465646279746573
    local function rotate(x, n) return x << n | x >> 64 - n end
    local function round()
      v0, v2 = v0 + v1, v2 + v3
      v1, v3 = rotate(v1, 13) ~ v0, rotate(v3, 16) ~ v2
      v0 = rotate(v0, 32)
      v2, v0 = v2 + v1, v0 + v3
      v1, v3 = rotate(v1, 17) ~ v2, rotate(v3, 21) ~ v0
      v2 = rotate(v2, 32)
    end
    local first, last = string.unpack("<i8i8", bytes .. string.char(#bytes))
    for _, m in ipairs {first, last} do
      v3 = v3 ~ m
      round()
      round()
      v0 = v0 ~ m
    end
    v2 = v2 ~ 0xff
    for _ = 1, 4 do round() end
    return ("%016x"):format(v0 ~ v1 ~ v2 ~ v3)
  end)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local function base64(s)
    return (s:gsub("..?.?", function(part)
      local n = #part
      local v = (">I3"):unpack(part .. ("\0"):rep(3 - n))
      local out = {}
      for i = 0, n do
        local at = (v >> 18 - 6 * i & 63) + 1
        out[#out + 1] = alphabet:sub(at, at)
      end
      return table.concat(out) .. ("="):rep(3 - n)
    end))
  end
  t("base64 (RFC 4648)", "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy", function()
    return base64(""), base64("f"), base64("fo"), base64("foo"), base64("foob"), base64("fooba"), base64("foobar")
  end)
  t("base64 of every byte", 344, "/w==", function()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    local text = base64(table.concat(bytes))
    t.feed(text)
    return #text, text:sub(-4)
  end)
  t("the 10000th of minstd", 399268537, function()
    local x = 1
    for _ = 1, 10000 do x = x * 48271 % 2147483647 end
    return x
  end)
  t("the 10000th of the old minstd", 1043618065, function()
    local x = 1
    for _ = 1, 10000 do x = x * 16807 % 2147483647 end
    return x
  end)
  t("the 10000th of mt19937, as the C++ standard has it", 4123659995, function()
    local mt = {[0] = 5489}
    for i = 1, 623 do mt[i] = 1812433253 * (mt[i - 1] ~ mt[i - 1] >> 30) + i & 0xFFFFFFFF end
    local at, y = 624, nil
    for _ = 1, 10000 do
      if at == 624 then
        for i = 0, 623 do
          local x = mt[i] & 0x80000000 | mt[(i + 1) % 624] & 0x7FFFFFFF
          mt[i] = mt[(i + 397) % 624] ~ x >> 1 ~ (x & 1 == 1 and 0x9908B0DF or 0)
        end
        at = 0
      end
      y = mt[at]
      y = y ~ y >> 11
      y = y ~ y << 7 & 0x9D2C5680
      y = y ~ y << 15 & 0xEFC60000
      y = (y ~ y >> 18) & 0xFFFFFFFF
      at = at + 1
    end
    return y
  end)
end
