-- xenkit.crunch: images made, read and refused; xenkit.host.gather: which files of a folder go into one.
local ok = pcall(require, "xenkit.core.crunch")

describe("xenkit.crunch", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local crunch = require "xenkit.crunch"

  local text, noise, x = ("some text\n"):rep(500), {}, 1
  for i = 1, 300 do
    x = x * 1103515245 + 12345 & 0x7fffffff
    noise[i] = string.char(x >> 16 & 255)
  end
  noise = table.concat(noise)
  local files = { ["index.html"] = text, ["img/a.png"] = noise, ["img/b.svg"] = text, ["img-old/c"] = "",
                  ["zoë"] = "z" }
  local bytes = assert(crunch.make(files, { time = 1700000001, align = 4096 }))

  it("gives what was put in", function()
    local image <close> = assert(crunch.open(bytes))
    assert.equal(5, image:count())
    assert.same({ "img-old/c", "img/a.png", "img/b.svg", "index.html", "zoë" }, image:list())
    for path, data in pairs(files) do
      assert.equal(data, image:read(path))
      assert.equal(data, image:get(path))
    end
    local f = image:find "img/a.png"
    assert.same({ "img/a.png", 300, 300, "stored", 1700000001, "image/png" },
      { f.path, f.size, f.stored, f.method, f.time, f.type })
    assert.equal(0, f.at % 4096)
    assert.equal(noise, bytes:sub(f.at + 1, f.at + f.size))
    f = image:find "index.html"
    assert.same({ 5000, "deflated", "text/html; charset=utf-8" }, { f.size, f.method, f.type })
    assert.equal(("\"%08x-%x\""):format(f.crc, 5000), f.etag)
    assert.same({ 0, {} }, { image:check() })
  end)

  it("reads parts", function()
    local image <close> = assert(crunch.open(bytes))
    for _, path in ipairs { "index.html", "img/a.png" } do
      local data = files[path]
      for _, r in ipairs { { 0, 0 }, { 10, 19 }, { 0, 299 }, { 299 }, { 5, 4 }, { 7, 1 << 40 }, { 1 << 40 } } do
        local want = data:sub(math.min(r[1], 9999) + 1, math.min((r[2] or 9999) + 1, 9999))
        assert.equal(want, image:read(path, r[1], r[2]))
      end
    end
    assert.has_error(function() image:read("index.html", -1) end)
  end)

  it("goes through a part of the paths", function()
    local image <close> = assert(crunch.open(bytes))
    local function paths(prefix)
      local list = {}
      for path, f in image:each(prefix) do
        assert.equal(path, f.path)
        list[#list + 1] = path
      end
      return list
    end
    assert.same(image:list(), paths())
    assert.same({ "img/a.png", "img/b.svg" }, paths "img/")
    assert.same({ "img-old/c", "img/a.png", "img/b.svg" }, paths "img")
    assert.same({}, paths "x")
    assert.same({}, paths "zzz")
  end)

  it("says what it has not", function()
    local image = assert(crunch.open(bytes))
    assert.is_nil(image:find "none")
    assert.same({ nil, "none: no such entry", "XK_ENOENT" }, { image:read "none" })
    assert.same({ nil, "none: no such entry", "XK_ENOENT" }, { image:gzip "none" })
    local none, err, code = image:gzip "img/a.png"
    assert.same({ nil, "XK_EINVAL" }, { none, code })
    assert.truthy(err:find "stored as it is")
    image:close()
    image:close()
    assert.has_error(function() image:read "index.html" end)
  end)

  it("gives gzip that gzip reads", function()
    local image <close> = assert(crunch.open(bytes))
    local name = os.tmpname()
    local f = assert(io.open(name, "wb"))
    f:write(image:gzip "index.html")
    f:close()
    local p = assert(io.popen("gzip -dc < " .. name))
    assert.equal(text, p:read "a")
    assert.is_true(p:close())
    os.remove(name)
  end)

  it("refuses and finds damage", function()
    local none, err, code = crunch.open(bytes:sub(1, -2))
    assert.same({ nil, "XK_EPROTO" }, { none, code })
    assert.truthy(err:find "^image: ")
    assert.same({ nil, "image: it is no ZIP file: too short", "XK_EPROTO" }, { crunch.open "" })
    local sound = assert(crunch.open(bytes))
    local at = sound:find("img/a.png").at + 10
    local image <close> = assert(crunch.open(bytes:sub(1, at) .. "?" .. bytes:sub(at + 2)))
    assert.same({ nil, "img/a.png: malformed message", "XK_EPROTO" }, { image:read "img/a.png" })
    assert.is_nil(image:get "img/a.png")
    assert.same({ 1, { "img/a.png: malformed message" } }, { image:check() })
    none, err, code = crunch.make { ["../x"] = "" }
    assert.same({ nil, "../x: the path has a part that is . or ..", "XK_EINVAL" }, { none, err, code })
  end)

  it("has no time where none was said", function()
    local a, b = crunch.make(files), crunch.make(files, { time = 0 })
    assert.equal(a, b)
    assert.is_nil(assert(crunch.open(a)):find("index.html").time)
  end)
end)

describe("xenkit.host.gather", function()
  local there, host = pcall(require, "xenkit.core.host")
  if not there then
    pending("xenkit.so is not built")
    return
  end
  local gather = require "xenkit.host.gather"
  local dir

  local function sh(command) assert(os.execute("cd " .. dir .. " && " .. command)) end
  before_each(function()
    local p = assert(io.popen "mktemp -d")
    dir = p:read "l"
    p:close()
    sh "mkdir -p in/a/b in/a-b in/.git && touch in/a/x.html in/a/b/y.css in/a-b/z.html in/.git/HEAD"
    sh "touch in/top.html in/n1.txt"
  end)
  after_each(function() os.execute("rm -rf " .. dir) end)

  local function paths(options)
    local list, err = gather.files(dir .. "/in", options or {})
    if not list then return (err:gsub(dir:gsub("%p", "%%%0"), "")) end
    for i, f in ipairs(list) do list[i] = f.path end
    return list
  end

  it("takes all in the order of bytes", function()
    assert.same({ ".git/HEAD", "a-b/z.html", "a/b/y.css", "a/x.html", "n1.txt", "top.html" }, paths())
  end)

  it("obeys patterns", function()
    assert.same({ "a-b/z.html", "a/x.html", "top.html" }, paths { only = { "*.html" } })
    assert.same({ "a-b/z.html", "a/b/y.css", "a/x.html", "n1.txt", "top.html" }, paths { ignore = { ".*" } })
    assert.same({ "a-b/z.html", "top.html" }, paths { only = { "*.html" }, ignore = { "a/" } })
    assert.same({ "a/x.html" }, paths { only = { "a/*" } })
    assert.same({ "a/b/y.css", "a/x.html" }, paths { only = { "a/**" } })
    assert.same({ "n1.txt", "top.html" }, paths { only = { "n?.txt", "top.h?ml" } })
    assert.same({}, paths { only = { "%w+", "[a-z]*", ".html" } })
    assert.same({ ".git/HEAD", "a-b/z.html", "a/b/y.css", "a/x.html", "n1.txt" },
      paths { without = host.identity(dir .. "/in/top.html") })
  end)

  it("follows links that stay inside", function()
    sh "ln -s a/x.html in/l.html && ln -s ../a in/a-b/again && ln -s . in/a/b/self && rm in/a/b/self"
    assert.same({ ".git/HEAD", "a-b/again/b/y.css", "a-b/again/x.html", "a-b/z.html", "a/b/y.css", "a/x.html", "l.html",
      "n1.txt", "top.html" }, paths())
    sh "ln -s in other"
    assert.equal(9, #assert(gather.files(dir .. "/other", {})))
  end)

  it("refuses the rest", function()
    local function refused(make, words)
      sh(make)
      local err = paths()
      assert.truthy(type(err) == "string" and err:find(words, 1, true), tostring(err))
      sh "rm in/a/bad"
      assert.equal("table", type(paths()))
    end
    refused("ln -s /etc/passwd in/a/bad", "/in/a/bad: a link that leads out of /in, to /etc/passwd")
    refused("ln -s ../../in-not in/a/bad", "/in/a/bad: a link that leads nowhere")
    refused("mkdir -p in-not && ln -s ../../in-not in/a/bad", "a link that leads out of")
    refused("ln -s bad in/a/bad", "a link that leads nowhere")
    refused("ln -s .. in/a/bad", "a link to a folder that it is in")
    refused("ln -s ../../in in/a/bad", "a link to a folder that it is in")
    refused("mkfifo in/a/bad", "/in/a/bad: it is neither a file nor a folder")
    local _, err = gather.files(dir .. "/in/top.html", {})
    assert.equal(dir .. "/in/top.html: it is no folder", err)
    assert.is_nil((gather.files(dir .. "/none", {})))
  end)
end)
