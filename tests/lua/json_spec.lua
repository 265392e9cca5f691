-- JSON: what passes, what fails and where, round trips.
local json = require("xenkit.json")

local function decoded(text)
  local value, message = json.decode(text)
  assert.is_nil(message)
  return value
end

describe("json.decode", function()
  local pass = {
    {"null", json.null}, {"true", true}, {" false\n", false}, {"0", 0}, {"-0", 0}, {"-12", -12}, {"3.5", 3.5},
    {"1E2", 100.0}, {"1e-2", 0.01}, {"-1.25e+2", -125.0}, {'""', ""}, {'"a"', "a"}, {'"\\u0041\\u00e9\\u20AC"', "Aé€"},
    {'"\\ud83d\\uDE00"', "😀"}, {'"\\"\\\\\\/\\b\\f\\n\\r\\t"', "\"\\/\b\f\n\r\t"}, {'"\\u0000"', "\0"},
    {'"\127"', "\127"}, {'"é€😀"', "é€😀"}, {"[]", {}}, {"[ ]", {}}, {"{}", {}}, {"{ }", {}}, {"[1,2 , 3]", {1, 2, 3}},
    {'{"a":{"b":[true,null]}}', {a = {b = {true, json.null}}}}, {'{"a":1,"a":2}', {a = 2}}, {'{"":0}', {[""] = 0}},
    {"\t[\r\n1 ]  ", {1}}, {"9223372036854775807", math.maxinteger}, {"-9223372036854775808", math.mininteger},
    {"9223372036854775808", 2.0 ^ 63}, {'"\u{2028}"', "\u{2028}"}, {'"\\uD834\\udd1e"', "\u{1D11E}"},
    {'["x","y\\n","z"]', {"x", "y\n", "z"}}, {"1.0", 1.0}, {"10", 10}, {'"\\ufffd"', "\u{FFFD}"}, {"1e308", 1e308},
  }
  for _, case in ipairs(pass) do
    it("accepts " .. case[1]:gsub("%c", "?"), function()
      local value = decoded(case[1])
      assert.same(case[2], value)
      assert.equal(math.type(case[2]), math.type(value))
    end)
  end

  local fail = {
    {"", "line 1, column 1: expected a value, found the end of the text"},
    {"  ", "line 1, column 3: expected a value, found the end"},
    {"nul", "line 1, column 1: expected a value (did you mean 'null'?)"}, {"nulll", "column 1"}, {"True", "found 'T'"},
    {"[1,]", "line 1, column 4: expected a value, found ']'"}, {"[1", "expected ',' or ']', found the end"},
    {"[1 2]", "line 1, column 4: expected ',' or ']', found '2'"}, {"[,1]", "column 2: expected a value, found ','"},
    {"[", "expected a value, found the end"}, {"]", "found ']'"}, {"{", "expected a string as key, found the end"},
    {'{"a":1,}', "column 8: expected a string as key, found '}'"}, {'{"a" 1}', "column 6: expected ':', found '1'"},
    {'{"a":}', "column 6: expected a value"}, {'{a:1}', "column 2: expected a string as key, found 'a'"},
    {"{1:1}", "expected a string as key"}, {'{\n "a": 1\n  "b"}', "line 3, column 3: expected ',' or '}', found '\"'"},
    {"'a'", "found '''"}, {'"a', "column 1: string without a closing quote"}, {'"\\', "unknown escape"},
    {'"\\x41"', "unknown escape in a string"}, {'"\\u12"', "four hexadecimal digits"},
    {'"\\u12g4"', "four hexadecimal"},
    {'"a\nb"', "line 1, column 3: control byte"}, {'"a\0b"', "control byte"}, {'"\t"', "control byte"},
    {'"\\ud800"', "high surrogate"}, {'"\\ud800\\u0041"', "high surrogate"}, {'"\\udc00"', "low surrogate"},
    {'"\\ud800x"', "high surrogate"}, {'"\\ud800\\ud800"', "high surrogate"}, {"01", "malformed number"},
    {"-", "expected a digit"}, {"-a", "column 2: expected a digit, found 'a'"}, {"1.", "malformed number"},
    {".5", "found '.'"}, {"1e", "malformed number"}, {"1e+", "malformed number"}, {"+1", "found '+'"},
    {"0x10", "malformed number"}, {"1.5.2", "malformed number"}, {"--1", "expected a digit"}, {"1e400", "out of range"},
    {"-1e400", "out of range"}, {"NaN", "found 'N'"}, {"Infinity", "found 'I'"}, {"-Infinity", "expected a digit"},
    {"1 2", "column 3: expected the end of the text, found '2'"}, {"[] x", "expected the end"},
    {"// c\n1", "found '/'"},
    {"\xEF\xBB\xBF1", "byte order mark"}, {'"\xff"', "column 2: invalid UTF-8"}, {'"\xc0\x80"', "invalid UTF-8"},
    {'"\xed\xa0\x80"', "invalid UTF-8"}, {'"\xf4\x90\x80\x80"', "invalid UTF-8"}, {'"é', "string without"},
    {'["é", x]', "column 7: expected a value, found 'x'"}, {"[\1]", "found byte 0x01"}, {"\0", "found byte 0x00"},
    {"[1\0]", "found byte 0x00"}, {"\v1", "found byte 0x0B"}, {'"\xe2\x82', "invalid UTF-8"},
  }
  for _, case in ipairs(fail) do
    it("refuses " .. case[1]:gsub("[%c\128-\255]", "?"), function()
      local value, message, code = json.decode(case[1])
      assert.is_nil(value)
      assert.equal("XK_EPROTO", code)
      assert.truthy(message:find("^json: line %d+, column %d+: "), message)
      assert.truthy(message:find(case[2], 1, true), message)
    end)
  end

  it("caps depth", function()
    local function nested(n) return ("["):rep(n) .. ("]"):rep(n) end
    assert.truthy(json.decode(nested(128)))
    local _, message = json.decode(nested(129))
    assert.truthy(message:find("column 129: nested too deeply", 1, true))
    assert.is_nil(json.decode(('{"a":'):rep(100000)))
    assert.is_nil(json.decode(nested(3), {max_depth = 2}))
    assert.truthy(json.decode(nested(2), {max_depth = 2}))
  end)

  it("raises on wrong use", function()
    assert.error_matches(function() json.decode(12) end, "string expected, got number")
    assert.error_matches(function() json.decode("1", {max_depth = 0}) end, "max_depth")
  end)

  it("never raises on cut or changed text", function()
    local text = '{"a": [1, -2.5e3, "x\\u00e9\\ud83d\\ude00", null, true], "b": {"c": {}}, "é": []}'
    for i = 0, #text do
      json.decode(text:sub(1, i))
      for _, char in ipairs {"\0", '"', "\\", "{", "]", ",", "\xff", "9", "e"} do
        json.decode(text:sub(1, i) .. char .. text:sub(i + 2))
      end
    end
  end)
end)

describe("json.encode", function()
  local cases = {
    {"null", json.null}, {"true", true}, {"false", false}, {"1", 1}, {"1.0", 1.0}, {"-0.0", -0.0}, {"0.1", 0.1},
    {"1e+100", 1e100}, {"-9223372036854775808", math.mininteger}, {'"a"', "a"}, {'"\\"\\\\"', '"\\'},
    {'"\\n\\u0000\\u001f\\u007f"', "\n\0\31\127"}, {'"é😀/"', "é😀/"}, {"{}", {}}, {"[]", json.array {}},
    {"[]", json.array()},
    {"[1,2]", {1, 2}}, {'{"a":[{}]}', {a = {{}}}}, {"[null]", {json.null}}, {"3.141592653589793", math.pi},
    {'{"a":1,"b":2,"c":3}', {c = 3, a = 1, b = 2}},
  }
  for _, case in ipairs(cases) do
    it("gives " .. case[1], function()
      assert.equal(case[1], json.encode(case[2], {sorted = true}))
    end)
  end

  local cycle = {}
  cycle.x = {cycle}
  local refused = {
    {nil, "value: cannot encode a nil"}, {print, "cannot encode a function"}, {{a = {1, print}}, "value.a[2]: cannot"},
    {0 / 0, "not finite"}, {1 / 0, "not finite"}, {"\xff", "not valid UTF-8"}, {{1, nil, 3}, "holes"},
    {{1, a = 2}, "both array items and the key a"}, {{[1.5] = 1}, "key of type number"}, {{[true] = 1}, "type boolean"},
    {{["a b"] = {["é\n"] = {}, x = print}}, 'value["a b"].x: cannot'}, {cycle, "value.x[1]: table contains itself"},
    {json.array {1, x = 1}, "array with the key x"}, {{["\xff"] = 1}, "not valid UTF-8"}, {{[2] = 1}, "type number"},
  }
  for _, case in ipairs(refused) do
    it("refuses: " .. case[2], function()
      local text, message, code = json.encode(case[1])
      assert.is_nil(text)
      assert.equal("XK_EINVAL", code)
      assert.truthy(message:find("json: value", 1, true), message)
      assert.truthy(message:find(case[2], 1, true), message)
    end)
  end

  it("indents", function()
    local text = json.encode({a = {1, 2}, b = {}, c = json.array()}, {sorted = true, indent = 2})
    assert.equal('{\n  "a": [\n    1,\n    2\n  ],\n  "b": {},\n  "c": []\n}', text)
  end)

  it("caps depth", function()
    local deep = {}
    for _ = 1, 128 do deep = {deep} end
    assert.is_nil((json.encode(deep)))
    assert.truthy(json.encode(deep[1]))
  end)

  it("does not mistake a shared table for a cycle", function()
    local shared = {1}
    assert.equal("[[1],[1]]", json.encode {shared, shared})
  end)

  it("keeps null fixed", function()
    assert.equal("null", tostring(json.null))
    assert.error_matches(function() json.null.x = 1 end, "cannot be changed")
  end)
end)

describe("json round trip", function()
  local function random_string()
    local parts = {}
    for i = 1, math.random(0, 12) do
      local code = math.random(3) == 1 and math.random(0, 0x10FFFF) or math.random(0, 0x7F)
      if code >= 0xD800 and code < 0xE000 then code = 0x20 end
      parts[i] = utf8.char(code)
    end
    return table.concat(parts)
  end

  local function random_value(depth)
    local kind = math.random(depth > 0 and 8 or 6)
    if kind == 1 then return math.random(0) end
    if kind == 2 then return (math.random() - 0.5) * 10.0 ^ math.random(-300, 300) end
    if kind == 3 then return random_string() end
    if kind == 4 then return math.random(2) == 1 end
    if kind == 5 then return json.null end
    if kind == 6 then return math.random(-9, 9) + 0.0 end
    local t = kind == 7 and json.array {} or {}
    for i = 1, math.random(0, 6) do
      t[kind == 7 and i or random_string()] = random_value(depth - 1)
    end
    return t
  end

  it("gives back random values, and the same text for the same value", function()
    math.randomseed(1, 7)
    for _ = 1, 500 do
      local value = random_value(5)
      local opts = {sorted = true, indent = math.random(2) == 1 and 2 or nil}
      local text = assert(json.encode(value, opts))
      local back = decoded(text)
      assert.same(value, back)
      assert.equal(text, json.encode(back, opts))
    end
  end)
end)
