-- The loop over a scripted tty: values, statements, continuation, errors, budget, completion, yielding.
local repl = require("xenkit.repl")

local function new_tty(chunks)
  local tty = {sent = {}, next = 1}
  function tty:read()
    local chunk = chunks[self.next]
    self.next = self.next + 1
    return chunk
  end
  function tty:write(s) self.sent[#self.sent + 1] = s end
  return tty
end

-- What the loop writes for input, in dumb mode and without prompts.
local function output(input, opts)
  opts = opts or {}
  opts.dumb, opts.prompt, opts.prompt2 = true, opts.prompt or "", opts.prompt2 or ""
  opts.env = opts.env or setmetatable({}, {__index = _G})
  local tty = new_tty {input}
  assert.is_true(repl.run(tty, opts))
  return table.concat(tty.sent)
end

describe("repl values", function()
  local cases = {
    {"1 + 1", "2\n"}, {"=1 + 1", "2\n"}, {" = 'a'", '"a"\n'}, {"nil", "nil\n"}, {"1, nil, 'x'", '1\tnil\t"x"\n'},
    {"x = 5", ""}, {"x = 5\nx", "5\n"}, {"x = 5\n_ENV.x", "5\n"}, {"local x = 5\nx", "nil\n"}, {"", ""}, {"   ", ""},
    {"-- nothing", ""}, {"1 -- one", "1\n"}, {"{1, 2, a = 3}", "{1, 2, a = 3}\n"}, {"(function() end)()", ""},
    {"6 * 7\n_ + 1\n_", "42\n43\n43\n"}, {"5\nx = 1\n_", "5\n5\n"}, {"1, 2\n_", "1\t2\n1\n"},
    {"'\\27[2J'", '"\\x1B[2J"\n'}, {"return 7", "7\n"}, {"print('a', nil, 2)", "a\tnil\t2\n"},
    {"for i = 1, 3 do print(i) end", "1\n2\n3\n"}, {"print(('x'):rep(3))", "xxx\n"}, {"#'abc'", "3\n"},
    {"load('return 3')()", "3\n"}, {"print = 1\nprint", "1\n"}, {"function f() return 8 end\nf()", "8\n"},
  }
  for _, case in ipairs(cases) do
    it(case[1]:gsub("\n", " / "), function() assert.equal(case[2], output(case[1])) end)
  end

  it("prints many long values in lines of their own", function()
    assert.equal('"' .. ("a"):rep(50) .. '"\n1\n', output("('a'):rep(50), 1"))
  end)
end)

describe("repl environment", function()
  it("writes to env, keeps print and _ for itself", function()
    local env = {tostring = tostring, print = "mine"}
    assert.equal("5\n", output("x = 5\nprint(x)\n3", {env = env}):gsub("3\n$", ""))
    assert.equal(5, env.x)
    assert.equal("mine", env.print)
    assert.is_nil(env._)
  end)

  it("does not need globals beyond env", function()
    assert.equal("nil\nnil\n", output("string\nos", {env = {}}))
  end)
end)

describe("repl continuation", function()
  local cases = {
    {"for i = 1, 2 do\nprint(i)\nend", "1\n2\n"}, {"1 +\n2", "3\n"}, {"f = function()\n  return 4\nend\nf()", "4\n"},
    {"print(\n1\n)", "1\n"}, {"x = [[a\nb]]\nx", '"a\\nb"\n'}, {"x = {\n1,\n\n2}\nx", "{1, 2}\n"}, {"=1 +\n1", "2\n"},
    {"--[[ a\nb ]] 5", "5\n"}, {"x =\n3\nx", "3\n"}, {"if true then\nprint 'y'\nelse\nend", "y\n"},
  }
  for _, case in ipairs(cases) do
    it(case[1]:gsub("\n", " / "), function() assert.equal(case[2], output(case[1])) end)
  end

  it("shows both prompts", function()
    assert.equal("$ & 1\n$ ", output("print(\n1)\n", {prompt = "$ ", prompt2 = "& "}))
  end)

  it("says what is wrong at the end of the stream", function()
    assert.truthy(output("for i = 1, 2 do"):find("'end' expected near <eof>", 1, true))
  end)

  it("caps the chunk", function()
    local lines = {"x = {"}
    for i = 2, 40 do lines[i] = ("1,"):rep(20000) end
    assert.truthy(output(table.concat(lines, "\n")):find("chunk is too long", 1, true))
  end)
end)

describe("repl errors", function()
  it("shows syntax errors", function()
    assert.equal("repl:1: syntax error near 'y'\n", output("x y"))
    assert.truthy(output("1 2"):find("^repl:1: "))
    assert.truthy(output("end"):find("^repl:1: .*near 'end'"))
  end)

  it("shows the message only, when the frames say no more", function()
    assert.equal("repl:1: no\n", output("error('no')"))
    assert.equal("no\n", output("error('no', 0)"))
    assert.equal("repl:1: assertion failed!\n", output("assert(false)"))
    assert.truthy(output("x.y.z"):find("^repl:1: attempt to index a nil value %(global 'x'%)\n$"))
  end)

  it("shows where, without the repl's own frames", function()
    local text = output("function f() error('no') end\nfunction g() f() return 1 end\nx = g()")
    assert.equal("repl:1: no\nwhere:\n  repl:1: in global 'f'\n  repl:1: in global 'g'\n  repl:1: in main chunk\n",
      (text:gsub("in function 'f'", "in global 'f'"):gsub("upvalue", "global")))
    assert.falsy(output("string.rep()"):find("repl.lua", 1, true))
    assert.falsy(output("string.rep()"):find("xpcall", 1, true))
  end)

  it("bounds the frames", function()
    local text = output("function f(n) if n == 0 then error('deep') end return (f(n - 1)) end\nf(200)")
    assert.truthy(text:find("\n  ... %d+ more\n"))
    assert.truthy(select(2, text:gsub("\n", "")) < 30)
  end)

  it("survives a stack overflow", function()
    assert.truthy(output("function f() return 1 + f() end\nf()\n5"):find("stack overflow.*\n5\n$"))
  end)

  it("shows error values of any kind, harmlessly", function()
    assert.equal("error: {code = 1}\n", output("error {code = 1}"))
    assert.equal("error: nil\n", output("error(nil)"))
    assert.equal("told\n", output("error(setmetatable({}, {__tostring = function() return 'told' end}))"))
    assert.equal("\\x1B[2Jx\n", output("error('\\27[2Jx', 0)"))
    assert.truthy(output("error(setmetatable({}, {__tostring = function() error('x') end}))\n5"):find("\n5\n$"))
  end)

  it("goes on after each", function()
    assert.truthy(output("error('a')\n1 2\n'fine'"):find('"fine"\n$'))
  end)
end)

describe("repl budget", function()
  local function limited(input)
    return output(input, {max_instructions = 100000})
  end
  it("stops a loop", function()
    assert.equal("stopped: more than 100000 instructions (see max_instructions)\n7\n", limited("while true do end\n7"))
  end)

  it("shows where the loop was", function()
    local text = limited("function f() while true do end end\nx = 1 + f()")
    assert.truthy(text:find("where:\n  repl:1: in .*f.*\n.*main chunk\n$"), text)
  end)

  it("stops loops that catch the error", function()
    assert.truthy(limited("while true do pcall(function() while true do end end) end\n7"):find("^stopped: .*\n7\n$"))
  end)

  it("stops a __tostring that loops", function()
    assert.truthy(limited("setmetatable({}, {__tostring = function() while true do end end})\n7"):find("\n7\n$"))
  end)

  it("lets __close handlers clean up", function()
    local env = setmetatable({}, {__index = _G})
    output("do local x <close> = setmetatable({}, {__close = function() for i = 1, 100 do done = i end end}) "
      .. "while true do end end", {max_instructions = 100000, env = env})
    assert.equal(100, env.done)
  end)

  it("starts anew for each input and leaves former hooks alone", function()
    local calls = 0
    local function hook() calls = calls + 1 end
    local old, mask, count = debug.gethook()
    debug.sethook(hook, "", 1000000000)
    local ok, text = pcall(limited, ("for i = 1, 20000 do end\n"):rep(5) .. "7")
    local now = debug.gethook()
    debug.sethook(old, mask, count)
    assert.is_true(ok)
    assert.equal("7\n", text)
    assert.equal(hook, now)
  end)

  it("can be switched off", function()
    assert.equal("7\n", output("for i = 1, 1000000 do end\n7", {max_instructions = false}))
    assert.truthy(output("error('x')\n7", {max_instructions = false}):find("^repl:1: x\n7\n$"))
  end)
end)

describe("repl commands", function()
  it("help, exit, quit", function()
    local text = output("help", {help = "See the manual.\n"})
    assert.truthy(text:find("ctrl-r", 1, true))
    assert.truthy(text:find("See the manual.\n$"))
    for line in text:gmatch("[^\n]+") do assert.truthy(#line < 80, line) end
    assert.equal("1\n", output("1\nexit\n2"))
    assert.equal("1\n", output("1\nquit()\n2"))
    assert.equal("5\n", output("exit = 5\nexit"))
  end)

  it("banner", function()
    assert.equal("Welcome\n1\n", output("1", {banner = "Welcome"}))
  end)

  it("on_line", function()
    local seen = {}
    local text = output("1\nskip\nchange\n2", {on_line = function(source)
      seen[#seen + 1] = source
      if source == "skip" then return false end
      if source == "change" then return "'changed'" end
    end})
    assert.equal('1\n"changed"\n2\n', text)
    assert.same({"1", "skip", "change", "2"}, seen)
  end)

  it("keeps history, a chunk of several lines as one entry", function()
    local history = {"old"}
    output("1\n1\nprint(\n2)\n\nx y", {history = history})
    assert.same({"old", "1", "print(\n2)", "x y"}, history)
  end)

  it("gives on errors of the stream", function()
    local tty = {read = function() return nil, "broken", "XK_EIO" end, write = function() end}
    assert.same({n = 3, nil, "broken", "XK_EIO"}, table.pack(repl.run(tty, {dumb = true})))
  end)
end)

describe("repl on a terminal", function()
  local function session(chunks, opts)
    opts = opts or {}
    opts.env = opts.env or setmetatable({}, {__index = _G})
    local tty = new_tty(chunks)
    assert.is_true(repl.run(tty, opts))
    return table.concat(tty.sent)
  end

  it("writes CR LF, leaves with ctrl-d", function()
    local text = session {"print('a\\nb')\r", "\4", "9\r"}
    assert.truthy(text:find("\r\na\r\nb\r\n", 1, true))
    assert.falsy(text:find("[^\r]\n"))
    assert.falsy(text:find("9", 1, true))
  end)

  it("ctrl-c drops an open chunk", function()
    local text = session {"print(\r", "\3", "1 + 1\r"}
    assert.truthy(text:find("^C", 1, true))
    assert.truthy(text:find("\r\n2\r\n", 1, true))
  end)

  it("runs a pasted chunk at once, recalls it with up", function()
    local text = session {"\27[200~for i = 1, 2 do\n print('n' .. i)\nend\27[201~\r", "\27[A\r"}
    assert.equal(2, select(2, text:gsub("n1\r\nn2\r\n", "")))
  end)

  it("completes with tab", function()
    local env = {alpha = {beta = {gamma = 77}}}
    assert.truthy(session({"al\t.be\t.ga\t\r"}, {env = env}):find("\r\n77\r\n", 1, true))
  end)

  it("works however the bytes are cut", function()
    local input = "x = 4\27[D5\r\nx\r\27[A\27[A\18x =\r\4"
    local whole = session {input}
    for cut = 1, #input - 1 do
      local text = session {input:sub(1, cut), input:sub(cut + 1)}
      assert.truthy(text:find("\r\n54\r\n", 1, true), cut)
    end
    assert.truthy(whole:find("\r\n54\r\n", 1, true))
  end)

  it("colours when asked", function()
    assert.truthy(session({"7\r"}, {colours = true}):find("\27[33m7\27[0m\r\n", 1, true))
  end)
end)

describe("repl.complete", function()
  local proto = {walk = function() end, name = "p"}
  local env = setmetatable({
    apple = 1,
    apply = print,
    obj = setmetatable({own = 1, run = print}, {__index = proto}),
    text = "s",
    lazy = setmetatable({}, {__index = function() error("called") end}),
    deep = {a = {b = {see = 1}}},
    odd = {["not a name"] = 1, [1] = 2, ok = 3},
  }, {__index = {base = 1}})

  local function names(line)
    local start, list = repl.complete(env, line, #line)
    return start .. ":" .. table.concat(list, " ")
  end
  local cases = {
    {"app", "1:apple apply"}, {"x = app", "5:apple apply"}, {"wh", "1:while"}, {"ba", "1:base"}, {"zzz", "1:"},
    {"obj.", "5:name own run walk"}, {"obj:", "5:run walk"}, {"obj:w", "5:walk"}, {"f(obj.o", "7:own"},
    {"deep.a.b.s", "10:see"}, {"deep.x.y.s", "10:"}, {"text:up", "6:upper"}, {"lazy.", "6:"}, {"lazy.a.b", "8:"},
    {"odd.", "5:ok"}, {"a..app", "4:apple apply"}, {"f().x", "5:"}, {"1.5", "3:"}, {"", "1:  "}, {"  ", "3:  "},
    {"t[1].x", "6:"}, {"obj. w", "6:walk"}, {"::", "3:"},
  }
  for _, case in ipairs(cases) do
    it("'" .. case[1] .. "'", function() assert.equal(case[2], names(case[1])) end)
  end

  it("looks left of the cursor only", function()
    local start, list = repl.complete(env, "app = 1", 2)
    assert.equal(1, start)
    assert.same({"apple", "apply"}, list)
  end)
end)

describe("repl in a coroutine", function()
  it("lets the chunk yield, within the budget", function()
    local tty = new_tty {"x = wait('a') + wait('b')\nx\n"}
    local env = {wait = function(what) return coroutine.yield(what) end}
    local co = coroutine.wrap(function() return repl.run(tty, {dumb = true, prompt = "", env = env}) end)
    assert.equal("a", co())
    assert.equal("b", co(1))
    assert.is_true(co(2))
    assert.equal("3\n", table.concat(tty.sent))
  end)
end)

describe("repl without debug", function()
  it("runs, shows messages without frames", function()
    local saved = debug
    package.loaded["xenkit.repl"] = nil
    _G.debug = nil -- luacheck: ignore
    local ok, bare = pcall(require, "xenkit.repl")
    _G.debug = saved -- luacheck: ignore
    package.loaded["xenkit.repl"] = repl
    assert.is_true(ok, bare)
    local tty = new_tty {"1 + 1\nerror('no')\nstring.\n"}
    bare.run(tty, {dumb = true, prompt = "", prompt2 = "", env = {error = error}})
    assert.truthy(table.concat(tty.sent):find("^2\nrepl:1: no\n"))
    assert.same({"upper"}, (select(2, bare.complete({s = "x"}, "s:up", 4))))
  end)
end)
