-- Tapes of the store: what `xenkit store record` wrote is read, and asked again, with the answers compared.
local core = require "xenkit.core.store"
local tape = require "xenkit.cli.store_tape"

local function entry(sent, type, req, tx, body)
  return ("<I4I4I8I4I4I4I4"):pack(16 + #body, sent and 1 or 0, 5, core[type], req, tx, #body) .. body
end

local function parsed(...)
  return assert(tape.parse("XKTAPE1\n" .. table.concat { ... }))
end

-- A store that answers what it is told to, and keeps what it was asked.
local function store(answers)
  local s = { tx = 0, asked = {} }
  function s:request(name, body)
    self.asked[#self.asked + 1] = ("%s %d %s"):format(name, self.tx, (body:gsub("%z", "|")))
    local a = table.remove(answers, 1)
    if a:find("^XK_") then return nil, "no", a end
    return a
  end
  return s
end

describe("a tape", function()
  it("is refused when it is none, or ends within an entry, or lies", function()
    local whole = "XKTAPE1\n" .. entry(false, "READ", 1, 0, "a\0")
    assert.is_nil(tape.parse("something"))
    for n = 9, #whole - 1 do assert.is_nil((tape.parse(whole:sub(1, n)))) end
    assert.is_nil((tape.parse(whole:sub(1, 8) .. "\255\255\255\127" .. whole:sub(13))))
    assert.equals(1, #tape.parse(whole))
  end)

  it("is asked again from the home of its domain, in transactions of the new store", function()
    local s = store { "7\0", "x", "OK\0" }
    local asked, different = tape.replay(s, parsed(
      entry(false, "TRANSACTION_START", 1, 0, "\0"), entry(true, "TRANSACTION_START", 1, 0, "3\0"),
      entry(false, "READ", 2, 3, "name\0"), entry(true, "READ", 2, 3, "x"),
      entry(false, "TRANSACTION_END", 3, 3, "T\0"), entry(true, "TRANSACTION_END", 3, 3, "OK\0")), 5, error)
    assert.same({ 3, 0 }, { asked, different })
    assert.same({ "TRANSACTION_START 0 |", "READ 7 /local/domain/5/name|", "TRANSACTION_END 7 T|" }, s.asked)
  end)

  it("tells what differs, when a number of a request comes again, too", function()
    local told = {}
    local s = store { "1", "2", "XK_ENOENT", "3" }
    local asked, different = tape.replay(s, parsed(
      entry(false, "READ", 1, 0, "/a\0"), entry(true, "READ", 1, 0, "1"),
      entry(false, "READ", 1, 0, "/b\0"), entry(true, "READ", 1, 0, "2"),
      entry(false, "READ", 1, 0, "/c\0"), entry(true, "ERROR", 1, 0, "ENOENT\0"),
      entry(false, "READ", 1, 0, "/d\0"), entry(true, "ERROR", 1, 0, "EACCES\0")), 0,
      function(text) told[#told + 1] = text end)
    assert.same({ 4, 1 }, { asked, different })
    assert.truthy(told[1]:find("/d", 1, true) and told[1]:find("XK_EACCES", 1, true))
  end)
end)
