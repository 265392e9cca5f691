-- What `xenkit build` makes, and what `xenkit symbolize` reads.
local archive = require "xenkit.archive"
local pack = require "xenkit.host.pack"
local image = require "xenkit.host.image"
local symbolize = require "xenkit.cli.symbolize"

local function source(name)
  local modules = { ["xenkit.http"] = 'local core = require "xenkit.core.http"', ["xenkit.a"] = 'require("xenkit.b")',
    ["xenkit.b"] = "require 'xenkit.a' require 'xenkit.task'" }
  return modules[name]
end

describe("the form of the program", function()
  it("is core for a script that needs no more, also with modules in a circle", function()
    assert.equal("core", (image.form('local a = require "xenkit.a"', source)))
    assert.equal("core", (image.form("return {}", source)))
  end)

  it("is full when a large module is required, directly or not", function()
    local form, why = image.form("local h = require('xenkit.http')", source)
    assert.equal("full", form)
    assert.equal("xenkit.core.http", why)
    assert.equal("full", (image.form('require "xenkit.core.db"', source)))
  end)

  it("is crypt when encryption is required, whatever else is", function()
    local form, why = image.form('require "xenkit.http" require "xenkit.core.crypt"', source)
    assert.equal("crypt", form)
    assert.equal("xenkit.core.crypt", why)
    assert.equal("crypt", (image.form('require "xenkit.core.crypt" require "xenkit.core.db"', source)))
  end)
end)

describe("the boot archive", function()
  it("holds the description as a Lua table that any value survives", function()
    local bytes = assert(pack.boot { source = "return {}", path = "x.lua", name = "n",
      needs = { { kind = "tcp", name = "web", value = "0:80" } }, watchdog = 3, repl = true,
      params = { text = "a\"b\n\0", n = 1 << 62, f = 0.1, yes = true, list = { "a" } } })
    local a = assert(archive.open(bytes))
    local desc = assert(load(a:get "etc/domain.lua", "=d", "t", {}))()
    assert.same({ text = "a\"b\n\0", n = 1 << 62, f = 0.1, yes = true, list = { "a" } }, desc.params)
    assert.same({ "web" }, desc.tcp)
    assert.equal(3, desc.watchdog)
    assert.is_true(desc.repl)
    assert.equal("return {}", a:get "main.lua")
  end)

  it("packs a folder of modules", function()
    local bytes = assert(pack.boot { source = "", path = "x", name = "n", params = {}, needs = { { kind = "lib",
      name = "mine", value = "tests/lua/fuzz" } } })
    assert.truthy(assert(archive.open(bytes)):get "lib/mine/driver.lua")
  end)

  it("says which folder is not there", function()
    local ok, err = pack.boot { source = "", path = "x", name = "n", params = {}, needs = { { kind = "tree",
      name = "t", value = "/no/such" } } }
    assert.is_nil(ok)
    assert.truthy(err:find("/no/such", 1, true))
  end)
end)

describe("crash reports", function()
  local text = [[
(XEN) something else
(d3) xk-crash begin: wild write in the program
(d3) xk-crash base 0x0000001000000000 rip 0x00000010000096e3 rsp 0x0000005ffffffc88 cr2 0x0000007777777000
(d3) xk-crash stack 0x0000005ffffffc88: 0x0000001000009921 0x0000000000000001
(d3) xk-crash end
(d4) xk-crash begin: cannot start: no program
(d4) xk-crash end
]]

  it("are found among other lines", function()
    local list = symbolize.parse(text)
    assert.equal(2, #list)
    assert.equal("wild write in the program", list[1].why)
    assert.equal(0x10000096e3, list[1].registers.rip)
    assert.same({ { at = 0x5ffffffc88, value = 0x1000009921 }, { at = 0x5ffffffc90, value = 1 } }, list[1].stack)
    assert.equal("cannot start: no program", list[2].why)
  end)

  it("that are damaged or not there give what there is", function()
    assert.same({}, symbolize.parse(""))
    assert.same({}, symbolize.parse("xk-crash stack 0x1: 0x2"))
    for n = 1, #text do symbolize.parse(text:sub(1, n)) end
  end)
end)

describe("bytecode without names", function()
  local slim = dofile "scripts/slim.lua"

  it("runs as before and still knows its lines", function()
    local code = "local a, b = ...\nlocal function f(x) return x + a end\nreturn f(b), 0.5, 'text', nil, true, " ..
      ("x"):rep(100):gsub("x", "'%0',") .. "error"
    local full = string.dump(assert(load(code, "@chunk")))
    local small = slim(full)
    assert.truthy(#small < #full)
    assert.same({ load(full, "c", "b")(1, 2) }, { load(small, "c", "b")(1, 2) })
    local bad = slim(string.dump(assert(load("local x\n\nx.y = 1", "@here"))))
    assert.truthy(select(2, pcall(load(bad, "c", "b"))):find("here:3:", 1, true))
  end)

  it("of another version, or cut off, is refused", function()
    local full = string.dump(function() return 1 end)
    assert.has_error(function() slim("\27Lua\x53" .. full:sub(6)) end)
    for n = 0, #full - 1 do assert.has_error(function() slim(full:sub(1, n)) end) end
  end)
end)
