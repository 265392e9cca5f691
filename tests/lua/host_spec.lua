-- What domain 0 reads: world files, service descriptions, archives.
local archive = require "xenkit.archive"
local service = require "xenkit.service"

describe("archive", function()
  it("packs and opens", function()
    local a = assert(archive.open(archive.pack { ["b/x"] = "1", ["b/y"] = "", a = "\0\255" }))
    assert.same({ "a", "b/x", "b/y" }, a:list())
    assert.equal("\0\255", a:get "a")
    assert.same({ "x", "y" }, a:sub("b"):list())
    assert.is_nil(a:sub("b"):get "a")
  end)

  it("refuses every cut and garbage", function()
    local whole = archive.pack { one = ("x"):rep(20), two = "y" }
    for n = 0, #whole - 1 do assert.is_nil((archive.open(whole:sub(1, n)))) end
    math.randomseed(7)
    for _ = 1, 3000 do
      local bytes = { whole:byte(1, -1) }
      for _ = 1, math.random(4) do bytes[math.random(#bytes)] = math.random(0, 255) end
      archive.open(string.char(table.unpack(bytes))) -- must not raise
    end
  end)
end)

describe("service descriptions", function()
  local function refused(text) return select(2, service.describe(text, "f.lua")) end

  it("are read without running anything", function()
    local s = assert(service.describe([[
      local http = require "xenkit.http"
      return { params = { { "port", type = "integer", default = 80 } }, needs = { tcp = { a = "0.0.0.0:$port" } },
        start = function() http.serve() end }]], "f.lua"))
    local p = assert(service.params(s, { "port=5" }))
    assert.same({ { kind = "tcp", name = "a", value = "0.0.0.0:5" } }, assert(service.needs(s, p, "f.lua")))
  end)

  it("need what others do not stand in for", function()
    local s = assert(service.describe([[
      return { params = { { "root", default = "" }, { "image", default = "" } }, start = function() end,
        needs = { tree = { site = "$root", default = { "site", unless = "root image" } },
          text = { image = "$image" } } }]], "f.lua"))
    for words, names in pairs { [""] = "default", ["root=a"] = "site", ["image=b"] = "image",
      ["root=a image=b"] = "image site" } do
      local list = {}
      for word in words:gmatch "%S+" do list[#list + 1] = word end
      list = assert(service.needs(s, assert(service.params(s, list)), "f.lua"))
      for i, need in ipairs(list) do list[i] = need.name end
      assert.equal(names, table.concat(list, " "))
    end
  end)

  it("that do something at load are told so", function()
    assert.truthy(refused('require "x".go()'):find("does nothing at load", 1, true))
    assert.truthy(refused("while true do end"):find("loops at load", 1, true))
    assert.truthy(refused("coroutine.yield() return {}"):find("yields at load", 1, true))
    assert.truthy(refused("io.open 'x'"):find("f.lua:1", 1, true))
    assert.truthy(refused("return 5"):find("returns a table", 1, true))
  end)

  it("name a parameter that is missing", function()
    local text = "return { needs = { tcp = { a = '$nope:1' } }, start = function() end }"
    local s = assert(service.describe(text, "f.lua"))
    assert.truthy(select(2, service.needs(s, {}, "f.lua")):find("no parameter 'nope'", 1, true))
  end)
end)
