-- HTTP over a socket pair in a private world: what a client sends by hand, and what comes back.
local core_world = require("xenkit.core.world")
local host = require("xenkit.core.host")
local http = require("xenkit.http")
local stream = require("xenkit.stream")
local task = require("xenkit.task")

-- Runs `fn(connect, server, world)` beside a server with this handler. `connect()` gives the client's stream.
local function with(handler, opts, fn)
  local world = core_world.open()
  opts = opts or {}
  opts.log = opts.log or function() end
  local results
  task.run(world, function()
    local server = http.server(nil, handler, opts)
    local run = task.spawn(server.run, server)
    task.yield()
    local function connect()
      local a, b = assert(host.socketpair())
      server:adopt(require("xenkit.core.stream").from_handle(world, a), "test")
      return assert(stream.from_handle(world, b))
    end
    results = table.pack(pcall(fn, connect, server, world))
    server:drain(0.5)
    run:join()
  end)
  world:close()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- One response by hand: status, headers (small names), body.
local function response(s, head_only)
  local line = assert(s:read_line(nil, 5))
  local status = tonumber(line:match("^HTTP/1%.1 (%d%d%d) "))
  local headers = {}
  while true do
    local l = assert(s:read_line(nil, 5))
    if l == "" then break end
    local name, value = l:match("^([^:]+): (.*)$")
    headers[name:lower()] = value
  end
  local body = ""
  if head_only or status == 204 or status == 304 then return status, headers, body end
  if headers["transfer-encoding"] == "chunked" then
    while true do
      local n = tonumber(assert(s:read_line(nil, 5)), 16)
      body = body .. (n > 0 and assert(s:read_exactly(n, 5)) or "")
      assert.equal("", s:read_line(nil, 5))
      if n == 0 then return status, headers, body end
    end
  end
  local n = tonumber(headers["content-length"])
  if n and n > 0 then body = assert(s:read_exactly(n, 5)) end
  return status, headers, body
end

local function ask(s, text, head_only)
  assert(s:write(text))
  return response(s, head_only)
end

local function get(path, more) return "GET " .. path .. " HTTP/1.1\r\nHost: t\r\n" .. (more or "") .. "\r\n" end

local function echo(req)
  return 200, table.concat({ req.method, req.path, req.query or "-", req.version }, " "), "text/plain"
end

describe("http.server", function()
  it("answers, with the fields of every answer", function()
    with(echo, { headers = { Server = "x" } }, function(connect)
      local s = connect()
      local status, h, body = ask(s, get("/a%20b/../c?x=1"))
      assert.equal(200, status)
      assert.equal("GET /c x=1 1.1", body)
      assert.equal("x", h.server)
      assert.equal("text/plain", h["content-type"])
      assert.truthy(http.parse_date(h.date))
      assert.equal(200, (ask(s, get("/again"))))
    end)
  end)

  it("answers pipelined requests in order", function()
    with(echo, nil, function(connect)
      local s, parts = connect(), {}
      for i = 1, 500 do parts[i] = get("/" .. i) end
      local writer = task.spawn(function() assert(s:write(table.concat(parts))) end)
      for i = 1, 500 do
        local status, _, body = response(s)
        assert.equal(200, status)
        assert.equal("GET /" .. i .. " - 1.1", body)
      end
      writer:join()
    end)
  end)

  it("does not hold an answer back while the next handler waits", function()
    with(function(req)
      if req.path == "/slow" then task.sleep(0.5) end
      return 200, req.path
    end, nil, function(connect, _, world)
      local s, from = connect(), world:now()
      s:write(get("/fast") .. get("/slow"))
      assert.equal("/fast", select(3, response(s)))
      assert.is_true(world:now() - from < 0.3)
      assert.equal("/slow", select(3, response(s)))
    end)
  end)

  it("reads a request that comes byte by byte", function()
    with(echo, nil, function(connect)
      local s = connect()
      for c in get("/slow"):gmatch(".") do
        s:write(c)
        task.yield()
      end
      assert.equal("GET /slow - 1.1", select(3, response(s)))
    end)
  end)

  it("takes bodies, with a length or in chunks, and asks for those held back", function()
    with(function(req) return 200, req:read_body() .. "|" .. tostring(req.length) end, { max_body = 1 << 20 },
      function(connect)
        local s = connect()
        local post = "POST / HTTP/1.1\r\nHost: t\r\n"
        assert.equal("hello|5", select(3, ask(s, post .. "Content-Length: 5\r\n\r\nhello")))
        local chunks = "1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n"
        assert.equal("abcd|nil", select(3, ask(s, post .. "Transfer-Encoding: chunked\r\n\r\n" .. chunks)))
        s:write(post .. "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert.equal("HTTP/1.1 100 Continue", s:read_line(nil, 5))
        assert.equal("", s:read_line(nil, 5))
        assert.equal("abc|3", select(3, ask(s, "abc")))
        local big = ("0123456789"):rep(100000)
        s:write(post .. "Content-Length: 1000000\r\n\r\n")
        task.spawn(function() s:write(big) end)
        local status, _, body = response(s)
        assert.equal(200, status)
        assert.equal(big .. "|1000000", body)
      end)
  end)

  it("refuses a body beyond the cap", function()
    with(function(req) return 200, req:read_body() end, { max_body = 10 }, function(connect)
      local s = connect()
      local status, h = ask(s, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\n01234567890")
      assert.equal(413, status)
      assert.equal("close", h.connection)
      s = connect()
      status = ask(s, "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n")
      assert.equal(413, status)
    end)
  end)

  it("sends long bodies to a slow reader", function()
    local big = ("x"):rep(3000000)
    with(function() return 200, big end, nil, function(connect)
      local s = connect()
      s:write(get("/1") .. get("/2"))
      task.sleep(0.05)
      for _ = 1, 2 do
        local status, _, body = response(s)
        assert.equal(200, status)
        assert.is_true(body == big)
      end
    end)
  end)

  it("answers 500 for an error, logs it, and goes on", function()
    local logged
    with(function(req)
      if req.path == "/bad" then error("kaboom") end
      if req.path == "/none" then return end
      if req.path == "/field" then return 200, "x", { ["A b"] = "c" } end
      if req.path == "/split" then return 200, "x", { A = "b\r\nSet-Cookie: c" } end
      if req.path == "/fail" then http.fail(418, "tea\n", { Allow = "x" }) end
      return 200, "fine"
    end, { log = function(_, text) logged = text end }, function(connect, server)
      local s = connect()
      local status, _, body = ask(s, get("/bad"))
      assert.equal(500, status)
      assert.is_nil(body:find("kaboom", 1, true))
      assert.truthy(logged:find("kaboom", 1, true) and logged:find("http_spec.lua", 1, true))
      for _, path in ipairs { "/none", "/field", "/split" } do assert.equal(500, (ask(s, get(path)))) end
      local h
      status, h, body = ask(s, get("/fail"))
      assert.same({ 418, "tea\n", "x" }, { status, body, h.allow })
      assert.equal("fine", select(3, ask(s, get("/"))))
      local c = server:counters()
      assert.same({ 6, 0, 4, 1 }, { c.requests, c.in_flight, c.errors, c.status["2xx"] })
    end)
  end)

  it("refuses what is malformed and closes", function()
    with(echo, nil, function(connect)
      for text, want in pairs {
        ["GET / HTTP/1.1\r\nHost : t\r\n\r\n"] = 400, ["GET / HTTP/9.9\r\nHost: t\r\n\r\n"] = 505,
        ["BREW / HTTP/1.1\r\nHost: t\r\n\r\n"] = 501, ["GET / HTTP/1.1\r\n\r\n"] = 400,
      } do
        local s = connect()
        local status, h = ask(s, text)
        assert.equal(want, status)
        assert.equal("close", h.connection)
        assert.is_nil((s:read(nil, 5)))
      end
    end)
  end)

  it("speaks HTTP/1.0, HEAD and Connection: close", function()
    with(echo, nil, function(connect)
      local s = connect()
      local status, h = ask(s, "HEAD /h HTTP/1.1\r\nHost: t\r\n\r\n", true)
      assert.same({ 200, "16" }, { status, h["content-length"] == tostring(#"HEAD /h - 1.1") and "16" })
      assert.equal("GET / - 1.1", select(3, ask(s, get("/"))))
      h = select(2, ask(s, get("/", "Connection: close\r\n")))
      assert.equal("close", h.connection)
      assert.is_nil((s:read(nil, 5)))
      s = connect()
      local _, h0, body = ask(s, "GET /old HTTP/1.0\r\n\r\n")
      assert.same({ "close", "GET /old - 1.0" }, { h0.connection, body })
    end)
  end)

  it("streams in chunks", function()
    with(function(req)
      return 200, function(write)
        for i = 1, 3 do
          write(http.event { data = req.path .. i, id = i })
          task.sleep(0.01)
        end
        write(("z"):rep(600000))
      end, "text/event-stream"
    end, nil, function(connect)
      local s = connect()
      for _ = 1, 2 do
        local status, h, body = ask(s, get("/e"))
        assert.same({ 200, "text/event-stream" }, { status, h["content-type"] })
        assert.equal("id: 1\ndata: /e1\n\nid: 2\ndata: /e2\n\nid: 3\ndata: /e3\n\n" .. ("z"):rep(600000), body)
      end
      assert.equal(200, (ask(s, "HEAD /e HTTP/1.1\r\nHost: t\r\n\r\n", true)))
    end)
  end)

  it("ends a broken stream without its last chunk", function()
    with(function() return 200, function(write) write("a") error("late") end end, nil, function(connect)
      local s = connect()
      s:write(get("/"))
      local all = {}
      while true do
        local data = s:read(nil, 5)
        if not data then break end
        all[#all + 1] = data
      end
      local text = table.concat(all)
      assert.truthy(text:find("1\r\na\r\n", 1, true))
      assert.is_nil(text:find("0\r\n\r\n", 1, true))
      assert.is_nil(text:find("500", 1, true))
    end)
  end)

  it("drains: answers what is under way, closes the rest", function()
    with(function() task.sleep(0.2) return 200, "done" end, nil, function(connect, server)
      local idle, busy = connect(), connect()
      busy:write(get("/"))
      task.sleep(0.05)
      local t = task.spawn(server.drain, server, 2)
      assert.is_nil((idle:read(nil, 5)))
      local status, _, body = response(busy)
      assert.same({ 200, "done" }, { status, body })
      assert.is_nil((busy:read(nil, 5)))
      t:join()
      assert.equal(0, server.stats.connections)
    end)
  end)

  it("cancels handlers that outlive the drain", function()
    with(function() task.sleep(100) end, nil, function(connect, server, world)
      local s, from = connect(), world:now()
      s:write(get("/"))
      task.sleep(0.05)
      server:drain(0.1)
      assert.is_nil((s:read(nil, 5)))
      assert.is_true(world:now() - from < 3)
    end)
  end)

  it("closes those who are slow", function()
    with(echo, { header_timeout = 0.3, idle_timeout = 0.8 }, function(connect, server)
      local half, idle, silent = connect(), connect(), connect()
      half:write("GET / HT")
      assert.equal(200, (ask(idle, get("/"))))
      assert.equal(408, (response(half)))
      assert.is_nil((half:read(nil, 5)))
      assert.is_nil((silent:read(nil, 5)))
      assert.is_nil((idle:read(nil, 5)))
      assert.equal(3, server.stats.timeouts)
    end)
  end)

  it("ends a connection after max_requests", function()
    with(echo, { max_requests = 2 }, function(connect)
      local s = connect()
      local _, h = ask(s, get("/"))
      assert.is_nil(h.connection)
      _, h = ask(s, get("/"))
      assert.equal("close", h.connection)
    end)
  end)

  it("survives clients that vanish", function()
    with(function(req) return 200, ("x"):rep(req.path == "/big" and 5000000 or 1) end, nil, function(connect, server)
      local half = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\na"
      for _, text in ipairs { get("/"), get("/big"), "GET /", half } do
        local s = connect()
        s:write(text)
        s:close()
      end
      task.sleep(0.1)
      assert.equal(0, server.stats.connections)
      assert.equal(0, server.stats.in_flight)
    end)
  end)

  it("raises when a request is used after its answer", function()
    local kept
    with(function(req) kept = req return 200, "x" end, nil, function(connect)
      ask(connect(), get("/"))
      assert.has_error(function() return kept.path end)
    end)
  end)
end)

describe("http.static", function()
  local files = { ["index.html"] = "<p>home", ["docs/index.html"] = "<p>docs", ["a.css"] = "a{}", ["e"] = "",
                  ["big.bin"] = ("0123456789"):rep(20000), ["404.html"] = "<p>gone" }
  local archive = {
    get = function(_, name) return files[name] end,
    list = function()
      local l = {}
      for k in pairs(files) do l[#l + 1] = k end
      return l
    end,
  }
  local function serve(fn) with(http.static(archive, { modified = 1000000000 }), nil, function(c) fn(c()) end) end

  it("finds files and indexes", function()
    serve(function(s)
      local status, h, body = ask(s, get("/"))
      assert.same({ 200, "<p>home", "text/html; charset=utf-8" }, { status, body, h["content-type"] })
      assert.equal("<p>docs", select(3, ask(s, get("/docs/"))))
      status, h = ask(s, get("/docs"))
      assert.same({ 308, "/docs/" }, { status, h.location })
      assert.equal("", select(3, ask(s, get("/e"))))
      assert.equal("text/css; charset=utf-8", (select(2, ask(s, get("/a.css"))))["content-type"])
      for _ = 1, 3 do assert.is_true(files["big.bin"] == select(3, ask(s, get("/big.bin")))) end
    end)
  end)

  it("lets no path out", function()
    serve(function(s)
      for _, path in ipairs { "/../x", "/%2e%2e/x", "/docs/..%2f..%2fx", "/none", "/docs/index.html/" } do
        local status, _, body = ask(s, get(path))
        assert.same({ 404, "<p>gone" }, { status, body })
      end
      assert.equal("a{}", select(3, ask(s, get("/docs/../a.css"))))
      assert.equal(400, (ask(s, get("/%00"))))
    end)
  end)

  it("obeys conditions, ranges and methods", function()
    serve(function(s)
      local _, h = ask(s, get("/a.css"))
      local status, h2, body = ask(s, get("/a.css", "If-None-Match: " .. h.etag .. "\r\n"))
      assert.same({ 304, "", h.etag }, { status, body, h2.etag })
      assert.equal(304, (ask(s, get("/a.css", "If-Modified-Since: " .. h["last-modified"] .. "\r\n"))))
      assert.equal(200, (ask(s, get("/a.css", 'If-None-Match: "x"\r\n'))))
      status, h2, body = ask(s, get("/big.bin", "Range: bytes=10-14\r\n"))
      assert.same({ 206, "bytes 10-14/200000", "01234" }, { status, h2["content-range"], body })
      status, _, body = ask(s, get("/big.bin", "Range: bytes=100000-\r\n"))
      assert.same({ 206, 100000 }, { status, #body })
      status, h2 = ask(s, get("/a.css", "Range: bytes=3-\r\n"))
      assert.same({ 416, "bytes */3" }, { status, h2["content-range"] })
      status, h2, body = ask(s, "HEAD /big.bin HTTP/1.1\r\nHost: t\r\n\r\n", true)
      assert.same({ 200, "200000", "" }, { status, h2["content-length"], body })
      status, h2 = ask(s, "POST /a.css HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx")
      assert.same({ 405, "GET, HEAD" }, { status, h2.allow })
      status, h2, body = ask(s, get("/a.css", "Connection: close\r\n"))
      assert.same({ 200, "close", "a{}" }, { status, h2.connection, body })
    end)
  end)
end)

describe("http.static with an image", function()
  local crunch = require "xenkit.crunch"
  local text, noise, x = ("some text\n"):rep(3000), {}, 1
  for i = 1, 40000 do
    x = x * 1103515245 + 12345 & 0x7fffffff
    noise[i] = string.char(x >> 16 & 255)
  end
  noise = table.concat(noise)
  local files = { ["index.html"] = "<p>home", ["docs/index.html"] = ("<p>docs"):rep(99), ["a.css"] = text, ["e"] = "",
                  ["small.bin"] = noise:sub(1, 50), ["big.bin"] = noise, ["404.html"] = "<p>gone", ["ü.txt"] = "ü" }
  local folder = { list = function() return { "a.css", "own.txt" } end,
    get = function(_, name) return name == "a.css" and "from the folder" or name == "own.txt" and "own" or nil end }
  local GZIP = "Accept-Encoding: gzip\r\n"

  local function serve(options, fn, damage)
    local bytes = assert(crunch.make(files, { time = options.time }))
    if damage then bytes = damage(bytes) end
    options.image = assert(crunch.open(bytes))
    with(http.static(options.folder, options), nil, function(c) fn(c()) end)
  end

  local function gunzip(bytes)
    local name = os.tmpname()
    local f = assert(io.open(name, "wb"))
    f:write(bytes)
    f:close()
    local p = assert(io.popen("gzip -dc < " .. name))
    local out = p:read "a"
    assert.is_true(p:close())
    os.remove(name)
    return out
  end

  it("finds files and indexes", function()
    serve({}, function(s)
      for _ = 1, 2 do
        for path, data in pairs(files) do
          local status, h, body = ask(s, get("/" .. http.encode(path, "path")))
          assert.same({ 200, data }, { status, body })
          assert.is_nil(h["content-encoding"])
        end
      end
      local status, h, body = ask(s, get("/"))
      assert.same({ 200, "<p>home", "text/html; charset=utf-8" }, { status, body, h["content-type"] })
      assert.equal(files["docs/index.html"], (select(3, ask(s, get("/docs/")))))
      status, h = ask(s, get("/docs"))
      assert.same({ 308, "/docs/" }, { status, h.location })
      for _, path in ipairs { "/../x", "/none", "/docs/none/", "/docs/index.html/", "/e/" } do
        status, _, body = ask(s, get(path))
        assert.same({ 404, "<p>gone" }, { status, body })
      end
    end)
  end)

  it("sends gzip to who accepts it", function()
    serve({}, function(s)
      local _, plain = ask(s, get("/a.css"))
      assert.same({ "Accept-Encoding", tostring(#text) }, { plain.vary, plain["content-length"] })
      for _ = 1, 2 do
        local status, h, body = ask(s, get("/a.css", GZIP))
        assert.same({ 200, "gzip", "Accept-Encoding", "text/css; charset=utf-8" },
          { status, h["content-encoding"], h.vary, h["content-type"] })
        assert.is_true(#body < #text // 10)
        assert.equal(text, gunzip(body))
        assert.not_equal(plain.etag, h.etag)
        local head_status, head = ask(s, "HEAD /a.css HTTP/1.1\r\nHost: t\r\n" .. GZIP .. "\r\n", true)
        assert.same({ 200, tostring(#body), "gzip", h.etag },
          { head_status, head["content-length"], head["content-encoding"], head.etag })
        status, h, body = ask(s, get("/a.css", GZIP .. "If-None-Match: " .. h.etag .. "\r\n"))
        assert.same({ 304, "", "Accept-Encoding" }, { status, body, h.vary })
        assert.equal(200, (ask(s, get("/a.css", GZIP .. "If-None-Match: " .. plain.etag .. "\r\n"))))
      end
      for _, no in ipairs { "", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: br\r\n" } do
        local _, h, body = ask(s, get("/a.css", no))
        assert.same({ plain.etag, text }, { h.etag, body })
        assert.is_nil(h["content-encoding"])
      end
      local _, h, body = ask(s, get("/big.bin", GZIP))
      assert.is_nil(h["content-encoding"] or h.vary)
      assert.is_true(body == noise)
    end)
  end)

  it("obeys conditions, ranges and methods", function()
    serve({ time = 1700000001 }, function(s)
      for path, data in pairs { ["/big.bin"] = noise, ["/small.bin"] = noise:sub(1, 50), ["/a.css"] = text } do
        local _, h = ask(s, get(path))
        assert.equal("Tue, 14 Nov 2023 22:13:21 GMT", h["last-modified"])
        assert.equal(304, (ask(s, get(path, "If-None-Match: " .. h.etag .. "\r\n"))))
        assert.equal(304, (ask(s, get(path, "If-Modified-Since: " .. h["last-modified"] .. "\r\n"))))
        local status, h2, body = ask(s, get(path, "Range: bytes=10-14\r\n"))
        assert.same({ 206, ("bytes 10-14/%d"):format(#data), data:sub(11, 15) }, { status, h2["content-range"], body })
        status, _, body = ask(s, get(path, "Range: bytes=20-\r\nIf-Range: " .. h.etag .. "\r\n"))
        assert.is_true(status == 206 and body == data:sub(21))
        status, h2 = ask(s, get(path, "Range: bytes=999999-\r\n"))
        assert.same({ 416, "bytes */" .. #data }, { status, h2["content-range"] })
        status, h2 = ask(s, "POST " .. path .. " HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx")
        assert.same({ 405, "GET, HEAD" }, { status, h2.allow })
        status, h2 = ask(s, "HEAD " .. path .. " HTTP/1.1\r\nHost: t\r\n\r\n", true)
        assert.same({ 200, tostring(#data) }, { status, h2["content-length"] })
      end
    end)
    serve({}, function(s) -- no time is known: nothing to compare with
      local _, h = ask(s, get("/a.css"))
      assert.is_nil(h["last-modified"])
      assert.equal(200, (ask(s, get("/a.css", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n"))))
    end)
  end)

  it("is behind a folder", function()
    serve({ folder = folder, add = { ["docs/index.html"] = "added" }, prefix = "/p/" }, function(s)
      assert.equal("from the folder", (select(3, ask(s, get("/p/a.css", GZIP)))))
      assert.equal("own", (select(3, ask(s, get("/p/own.txt")))))
      assert.equal("added", (select(3, ask(s, get("/p/docs/")))))
      assert.equal("<p>home", (select(3, ask(s, get("/p/")))))
      local status, _, body = ask(s, get("/index.html"))
      assert.same({ 404, "<p>gone" }, { status, body })
    end)
  end)

  it("keeps answers up to a bound", function()
    local stats = {}
    local room = 2 * #text + 100
    serve({ cache = room, stats = stats }, function(s)
      for _ = 1, 5 do
        ask(s, get("/a.css", GZIP))
        ask(s, get("/docs/", GZIP))
      end
      assert.same({ 2, 0 }, { stats.made, stats.dropped })
      ask(s, get("/a.css"))
      assert.is_true(stats.made == 3 and stats.dropped > 0 and stats.bytes <= room)
      for _ = 1, 20 do
        assert.equal(text, (select(3, ask(s, get("/a.css")))))
        assert.equal(text, gunzip((select(3, ask(s, get("/a.css", GZIP))))))
        assert.is_true(stats.bytes <= room)
      end
      assert.is_true(stats.dropped > 20)
    end)
    serve({ cache = 100, stats = stats }, function(s)
      for _ = 1, 3 do assert.equal(text, (select(3, ask(s, get("/a.css"))))) end
      assert.same({ 3, 0, 0 }, { stats.made, stats.dropped, stats.bytes })
    end)
  end)

  it("says so when a file is damaged", function()
    serve({}, function(s)
      local status, _, body = ask(s, get("/a.css"))
      assert.equal(500, status)
      assert.truthy(body:find "damaged")
      assert.equal("<p>home", (select(3, ask(s, get("/")))))
    end, function(bytes)
      local f = assert(crunch.open(bytes)):find "a.css"
      return bytes:sub(1, f.at + 5) .. "????" .. bytes:sub(f.at + 10)
    end)
  end)
end)

describe("http.router", function()
  local handler = http.router {
    ["GET /"] = function() return 200, "root" end,
    ["GET /u/:id"] = function(_, p) return 200, "u " .. p.id end,
    ["POST /u/:id"] = function(_, p) return 201, "made " .. p.id end,
    ["GET /u/:id/x/:k"] = function(_, p) return 200, p.id .. p.k end,
    ["GET /u/me"] = function() return 200, "me" end,
    ["GET /f/*rest"] = function(_, p) return 200, p.rest end,
  }
  it("chooses", function()
    local function run(method, path) return handler { method = method, path = path } end
    assert.same({ 200, "root" }, { run("GET", "/") })
    assert.same({ 200, "u 7" }, { run("GET", "/u/7") })
    assert.same({ 200, "me" }, { run("HEAD", "/u/me") })
    assert.same({ 201, "made 7" }, { run("POST", "/u/7") })
    assert.same({ 200, "78" }, { run("GET", "/u/7/x/8") })
    assert.same({ 200, "a/b" }, { run("GET", "/f/a/b") })
    assert.equal(404, (run("GET", "/nix")))
    local status, _, h = run("PUT", "/u/7")
    assert.same({ 405, "GET, HEAD, POST" }, { status, h.Allow })
    assert.has_error(function() http.router { ["get /"] = print } end)
  end)
end)

describe("http.request", function()
  it("asks and reads the answer", function()
    with(function(req)
      if req.method == "POST" then return 200, req:read_body() .. (req:header("x-a") or "") end
      return 200, function(write) write("chunked ") write(req.target .. " " .. req.host) end
    end, nil, function(connect)
      local r = assert(http.request { url = "http://h:81/p?q", connect = function() return connect() end })
      assert.same({ 200, "chunked /p?q h:81" }, { r.status, r.body })
      local c <close> = http.client(connect())
      for i = 1, 3 do
        local body = ("b"):rep(i * 100000)
        r = assert(c:request { method = "POST", target = "/", body = body, headers = { ["X-A"] = "!" } })
        assert.equal(body .. "!", r.body)
      end
      r = assert(c:request { method = "HEAD" })
      assert.equal("", r.body)
    end)
  end)
  it("gives an error when the server goes", function()
    local world = core_world.open()
    task.run(world, function()
      local a, b = host.socketpair()
      local s = stream.from_handle(world, a)
      task.spawn(function() s:read() s:close() end)
      local r, _, code = http.request { target = "/", host = "x", stream = stream.from_handle(world, b) }
      assert.is_nil(r)
      assert.truthy(code)
    end)
    world:close()
  end)
end)

describe("http utilities", function()
  it("do what they say", function()
    assert.equal("a&amp;&lt;b&gt;&quot;&#39;", http.escape_html([[a&<b>"']]))
    assert.equal("a%20b%2Fc", http.encode("a b/c"))
    assert.equal("a b", http.decode("a%20b"))
    assert.is_nil((http.decode("%zz")))
    local first, all = http.form("a=1&b=x+y&a=2")
    assert.same({ a = "1", b = "x y" }, first)
    assert.same({ { "a", "1" }, { "b", "x y" }, { "a", "2" } }, all)
    assert.same({ scheme = "http", host = "h", port = 81, path = "/p", query = "q" }, http.uri("http://h:81/p?q"))
    assert.equal(784111777, http.parse_date(http.date(784111777)))
    assert.equal("text/html", http.media_type("x.html"):match("^[^;]+"))
    assert.same({ 5, 9 }, { http.parse_range("bytes=5-", 10) })
    assert.equal("/b", http.normal_path("/a/../b"))
    assert.not_equal(http.etag("a"), http.etag("b"))
  end)
end)
