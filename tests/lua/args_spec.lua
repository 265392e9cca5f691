-- Command lines: parsing, messages, help, man page, completion (checked with bash and groff where there are any).
local args = require("xenkit.args")

local SPEC = {
  name = "tool", summary = "does things", version = "1.2",
  description = "A tool to test with.\n\nIt has two paragraphs.",
  options = {
    {"-v", "--verbose", count = true, help = "say more"},
    {"--json", help = "for programs"},
    {"-C", "--config", arg = "FILE", type = "path", help = "settings"},
  },
  verbs = {
    {
      name = "log", summary = "show what was said", positionals = {{"NAME", help = "which"}},
      options = {
        {"-f", "--follow", help = "wait for more"},
        {"-n", "--lines", arg = "N", type = "integer", default = 10, min = 0, max = 1000, help = "how many"},
        {"--format", arg = "F", choices = {"plain", "json", "long"}, help = "how to write"},
        {"-t", "--tag", arg = "TAG", many = true, help = "only these"},
        {"--rate", type = "number", help = "how fast"},
        {"--only", type = "list", of = "integer", help = "lines"},
        {"--dry-run", help = "do not"},
      },
      examples = {{"tool log -f web", "follow web"}, "tool log db"},
    },
    {name = "run", summary = "start", positionals = {{"SCRIPT", type = "path"}, {"ARG", optional = true, many = true}}},
    {name = "image", summary = "images", verbs = {
      {name = "build", summary = "make one", positionals = {{"KIND", choices = {"fat", "raw"}}},
        options = {{"-s", "--size", arg = "N", type = "integer", required = true, help = "bytes"}}},
      {name = "list", summary = "show them", positionals = {{"PATTERN", default = "*"}}},
    }},
  },
  examples = {{"tool run a.lua", "starts\n\n.it"}, {".dotted -x", "'quoted' with \\ in it"}},
}

local cli = args.new(SPEC)

local function words(line)
  local list = {}
  for word in line:gmatch("%S+") do list[#list + 1] = word end
  return list
end

local function parsed(line)
  local result = assert(cli:parse(words(line)))
  result.spec = nil
  return result
end

describe("args parse", function()
  local function log(extra)
    local want = {verb = "log", name = "web", lines = 10, follow = false, dry_run = false, verbose = 0, json = false}
    for key, value in pairs(extra or {}) do want[key] = value end
    return want
  end
  local cases = {
    {"log web", log()}, {"log -f web", log {follow = true}}, {"log web --follow", log {follow = true}},
    {"log -n 5 web", log {lines = 5}}, {"log -n5 web", log {lines = 5}}, {"log -n=5 web", log {lines = 5}},
    {"log -fn5 web", log {follow = true, lines = 5}}, {"log --lines=5 web", log {lines = 5}},
    {"log --lines 0x10 web", log {lines = 16}}, {"-vv log web -v", log {verbose = 3}},
    {"--json log web", log {json = true}},
    {"log -t a --tag=b -tc web", log {tag = {"a", "b", "c"}}}, {"log --rate 1.5 web", log {rate = 1.5}},
    {"log --rate=-1e-3 web", log {rate = -0.001}}, {"log --only 1,2 --only=3 web", log {only = {1, 2, 3}}},
    {"log --dry-run web", log {dry_run = true}}, {"log --dry-run=no web", log {dry_run = false}},
    {"log -- -f", log {name = "-f"}}, {"log -", log {name = "-"}}, {"log -5", log {name = "-5"}},
    {"log --format=json web", log {format = "json"}}, {"-C a.conf log web", log {config = "a.conf"}},
    {"run a.lua", {verb = "run", script = "a.lua", arg = {}, verbose = 0, json = false}},
    {"run a.lua x=1 y", {verb = "run", script = "a.lua", arg = {"x=1", "y"}, verbose = 0, json = false}},
    {"run a.lua -- --json -- x",
      {verb = "run", script = "a.lua", arg = {"--json", "--", "x"}, verbose = 0, json = false}},
    {"image build -s 5 fat", {verb = "image build", kind = "fat", size = 5, verbose = 0, json = false}},
    {"image list", {verb = "image list", pattern = "*", verbose = 0, json = false}},
  }
  for _, case in ipairs(cases) do
    it(case[1], function() assert.same(case[2], parsed(case[1])) end)
  end

  it("gives the verb's spec", function()
    assert.equal(SPEC.verbs[1], cli:parse({"log", "web"}).spec)
  end)

  local wrong = {
    {"lgo web", "tool: unknown verb 'lgo' (did you mean 'log'?)"}, {"im", "(did you mean 'image'?)"},
    {"frobnicate", "tool: unknown verb 'frobnicate'"}, {"", "tool: missing verb: one of log, run, image"},
    {"image", "tool image: missing verb: one of build, list"}, {"image biuld fat", "(did you mean 'build'?)"},
    {"log --folow web", "tool log: unknown option '--folow' (did you mean '--follow'?)"},
    {"log --jsn web", "(did you mean '--json'?)"}, {"log -follow web", "(did you mean '--follow'?)"},
    {"log -x web", "unknown option '-x'"}, {"log --zzzzz web", "unknown option '--zzzzz'"},
    {"log", "missing NAME (see"},
    {"log web db", "unexpected argument 'db'"}, {"log --lines", "option '--lines' needs a value N"},
    {"log -n", "option '-n' needs a value N"}, {"log -n abc web", "option '-n': 'abc' is not an integer"},
    {"log -n 1.5 web", "'1.5' is not an integer"}, {"log -n -1 web", "option '-n': '-1' must be from 0 to 1000"},
    {"log -n 1001 web", "'1001' must be from 0 to 1000"}, {"log -n 99999999999999999999 web", "not an integer"},
    {"log --rate fast web", "'fast' is not a number"}, {"log --rate 0x10 web", "not a number"},
    {"log --format jsn web", "'jsn' is not one of plain, json, long (did you mean 'json'?)"},
    {"log --follow=maybe web", "'maybe' is neither true nor false"}, {"log --only 1,x web", "'x' is not an integer"},
    {"image build fat", "missing option '--size'"}, {"image build -s 1 ext", "KIND: 'ext' is not one of fat, raw"},
    {"log --config= web", "'' is an empty path"}, {"run", "tool run: missing SCRIPT (see 'tool run --help')"},
  }
  for _, case in ipairs(wrong) do
    it("refuses: " .. case[1], function()
      local result, message, code = cli:parse(words(case[1]))
      assert.is_nil(result)
      assert.equal("XK_EINVAL", code)
      assert.truthy(message:find(case[2], 1, true), message)
      if not case[2]:find("did you mean", 1, true) then assert.falsy(message:find("did you mean", 1, true), message) end
    end)
  end

  it("keeps messages short and harmless", function()
    local _, message = cli:parse {"log", "--" .. ("x\27"):rep(100000)}
    assert.truthy(#message < 200)
    assert.falsy(message:find("%c"))
  end)

  it("never raises on odd words", function()
    for _, word in ipairs {"", "-", "--", "---", "-=", "--=", "--=x", "-\0", "\xff", "=", "-n=", "--json="} do
      cli:parse {word}
      cli:parse {"log", word, "x"}
    end
  end)
end)

describe("args help", function()
  it("is given for --help, -h and help, anywhere", function()
    for _, line in ipairs {"--help", "-h", "help", "-v --help"} do assert.equal(cli:help(), parsed(line).help) end
    for _, line in ipairs {"log --help", "help log", "log -fh", "--help log", "log web --help"} do
      assert.equal(cli:help("log"), parsed(line).help)
    end
    assert.equal(cli:help("image build"), parsed("help image build").help)
    assert.equal("1.2", parsed("--version").version)
  end)

  it("teaches", function()
    assert.equal([[
tool log - show what was said

Usage: tool log [options] NAME

Arguments:
  NAME  which

Options:
  -f, --follow       wait for more
  -n, --lines N      how many (from 0 to 1000; default 10)
      --format F     how to write (one of plain, json, long)
  -t, --tag TAG      only these (may be repeated)
      --rate NUMBER  how fast
      --only LIST    lines
      --dry-run      do not

Options of every verb:
  -v, --verbose      say more
      --json         for programs
  -C, --config FILE  settings
  -h, --help         show this text
      --version      show the version

Examples:
  # follow web
  tool log -f web
  tool log db
]], cli:help("log"))
    assert.truthy(cli:help("run"):find("Usage: tool run [options] SCRIPT [ARG...]", 1, true))
    assert.truthy(cli:help("image build"):find("Usage: tool image build [options] --size N KIND", 1, true))
    assert.truthy(cli:help():find("\n  log    show what was said\n", 1, true))
    assert.truthy(cli:help():find("A tool to test with.\n\nIt has two paragraphs.\n", 1, true))
  end)

  it("wraps long texts", function()
    local long = args.new {name = "x", summary = ("word "):rep(40), options = {
      {"--an-option-with-a-name-that-is-very-long", arg = "VALUE", help = ("help "):rep(60)},
      {"-a", help = "é " .. ("b "):rep(70)},
    }}
    for line in long:help():gmatch("[^\n]+") do assert.truthy(utf8.len(line) <= 80, line) end
  end)
end)

describe("args spec", function()
  local wrong = {
    {{}, "needs a name"}, {{name = "a b"}, "needs a name"},
    {{name = "a", options = {{"x"}}}, "neither %-x nor %-%-word"},
    {{name = "a", options = {{}}}, "without a name"}, {{name = "a", options = {{"-x"}, {"-x"}}}, "occurs twice"},
    {{name = "a", options = {{"--x", type = "colour"}}}, "unknown type 'colour'"},
    {{name = "a", options = {{"--verb"}}}, "reserved"}, {{name = "a", options = {{"--help"}}}, "reserved"},
    {{name = "a", positionals = {{"A", many = true}, {"B"}}}, "only the last"},
    {{name = "a", verbs = {{name = "b"}, {name = "b"}}}, "verb 'b' occurs twice"},
    {{name = "a", positionals = {{"A"}}, verbs = {{name = "b"}}}, "both verbs and positionals"},
    {{name = "a", options = {{"-x"}}, verbs = {{name = "b", options = {{"-x"}}}}}, "occurs twice"},
  }
  for _, case in ipairs(wrong) do
    it("raises: " .. case[2], function() assert.error_matches(function() args.new(case[1]) end, case[2]) end)
  end

  it("leaves the user's table alone", function()
    local spec = {name = "a", options = {{"-x"}}}
    args.new(spec):parse {"-x"}
    assert.same({name = "a", options = {{"-x"}}}, spec)
  end)

  it("lets -h be another's", function()
    local other = args.new {name = "a", options = {{"-h", "--host", arg = "H"}}}
    assert.equal("x", other:parse({"-h", "x"}).host)
  end)
end)

local function run(command, text)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
  local pipe = io.popen(command:format(name) .. " 2>&1")
  local out = pipe:read("a")
  local ok = pipe:close()
  os.remove(name)
  return out, ok
end

describe("args man page", function()
  it("holds all that the help holds", function()
    local page = cli:man {date = "2026-01-01", see_also = {"lua(1)"}}
    assert.truthy(page:find('^%.TH "TOOL" "1" "2026%-01%-01" "tool 1%.2" ""\n%.SH NAME\ntool \\%- does things\n'))
    for _, text in ipairs {".SS tool log [options] NAME", "\\-n, \\-\\-lines N", "default 10", "\\&.dotted \\-x",
      "starts\n\\&.it",
      "\\&'quoted' with \\e in it", ".SH SEE ALSO\nlua(1)", ".SS tool image build"} do
      assert.truthy(page:find(text, 1, true), text)
    end
  end)

  it("is without complaint from groff", function()
    if not os.execute("command -v groff >/dev/null") then return pending("no groff") end
    local out = run("groff -man -Tutf8 -ww %s >/dev/null", cli:man {date = "d"})
    assert.equal("", out)
  end)
end)

describe("args completion", function()
  local has_bash = os.execute("command -v bash >/dev/null")
  local function complete(...)
    if not has_bash then return pending("no bash") end
    local list = {...}
    for i, word in ipairs(list) do list[i] = "'" .. word .. "'" end
    local script = cli:completion() .. ("COMP_WORDS=(%s)\nCOMP_CWORD=%d\n_tool\necho \"${COMPREPLY[*]}\"\n")
      :format(table.concat(list, " "), #list - 1)
    return (run("cd / && bash -u %s", script):gsub("\n$", ""))
  end
  local cases = {
    {{"tool", ""}, "log run image"}, {{"tool", "l"}, "log"}, {{"tool", "-v", "im"}, "image"},
    {{"tool", "image", ""}, "build list"}, {{"tool", "image", "build", ""}, "fat raw"},
    {{"tool", "image", "build", "-s", "5", "f"}, "fat"}, {{"tool", "log", "--fo"}, "--follow --format"},
    {{"tool", "log", "--format", ""}, "plain json long"}, {{"tool", "log", "--format", "=", "j"}, "json"},
    {{"tool", "log", "--format", "="}, "plain json long"}, {{"tool", "-C", "/us"}, "/usr"},
    {{"tool", "-C", "log", "r"}, "run"}, {{"tool", "--config", "=", "log", "r"}, "run"},
    {{"tool", "run", "/us"}, "/usr"},
    {{"tool", "log", ""}, ""}, {{"tool", "log", "-n", ""}, ""}, {{"tool", "log", "--js"}, "--json"},
  }
  for _, case in ipairs(cases) do
    it(table.concat(case[1], " "), function() assert.equal(case[2], complete(table.unpack(case[1]))) end)
  end
end)

describe("args.nearest", function()
  it("finds slips, not strangers", function()
    local names = {"port", "root", "log-level", "--follow"}
    assert.equal("port", args.nearest("prot", names))
    assert.equal("port", args.nearest("por", names))
    assert.equal("log-level", args.nearest("loglevel", names))
    assert.equal("log-level", args.nearest("log", names))
    assert.equal("--follow", args.nearest("--Folow", names))
    assert.is_nil(args.nearest("banana", names))
    assert.is_nil(args.nearest("", names))
    assert.is_nil(args.nearest(("x"):rep(100000), names))
  end)
end)

describe("args.keyvalues", function()
  local spec = {
    name = "web", summary = "serves files",
    keys = {
      {"port", type = "integer", default = 80, min = 1, max = 65535, help = "where to listen"},
      {"root", type = "path", required = true, help = "the directory"},
      {"tags", type = "list", help = "words"},
      {"ratio", type = "number"},
      {"index", type = "boolean", default = false, help = "list directories"},
      {"mode", choices = {"fast", "safe"}, default = "safe"},
    },
    examples = {{"web root=/srv port=8080", "on another port"}},
  }
  local function with(extra)
    local want = {root = "/srv", port = 80, index = false, mode = "safe"}
    for key, value in pairs(extra) do want[key] = value end
    return want
  end
  local cases = {
    {"root=/srv", with {}}, {"root=/srv port=8080", with {port = 8080}}, {"root=/srv index", with {index = true}},
    {"root=/srv index=yes", with {index = true}}, {"root=/srv index=off", with {index = false}},
    {"root=/a=b", with {root = "/a=b"}}, {"root=/srv tags=a,b tags=c", with {tags = {"a", "b", "c"}}},
    {"root=/srv tags=", with {tags = {}}}, {"root=/srv ratio=0.5", with {ratio = 0.5}},
    {"root=/srv mode=fast", with {mode = "fast"}},
  }
  for _, case in ipairs(cases) do
    it(case[1], function() assert.same(case[2], (assert(args.keyvalues(spec, words(case[1]))))) end)
  end

  local wrong = {
    {"root=/srv prot=1", "unknown key 'prot' (did you mean 'port'?)"}, {"root=/ --port=1", "(did you mean 'port'?)"},
    {"root=/srv banana=1", "unknown key 'banana'"}, {"", "missing key 'root': the directory"},
    {"root=", "key 'root': '' is an empty path"}, {"root=/ port=x", "key 'port': 'x' is not an integer"},
    {"root=/ port=0", "key 'port': '0' must be from 1 to 65535"}, {"root=/ port", "key 'port' needs a value: port=..."},
    {"root=/ port=1 port=2", "key 'port' is given twice"}, {"root=/ index=x", "'x' is neither true nor false"},
    {"root=/ index=no index", "key 'index' is given twice"}, {"root=/ ratio=nan", "'nan' is not a number"},
    {"root=/ ratio=1e999", "not a number"}, {"root=/ mode=fats", "not one of fast, safe (did you mean 'fast'?)"},
    {"=x root=/", "unknown key ''"},
  }
  for _, case in ipairs(wrong) do
    it("refuses: " .. case[1], function()
      local result, message, code = args.keyvalues(spec, words(case[1]))
      assert.is_nil(result)
      assert.equal("XK_EINVAL", code)
      assert.truthy(message:find(case[2], 1, true), message)
    end)
  end

  it("takes an empty word where that is the default", function()
    local s = { name = "s", keys = { { "journal", type = "path", default = "" }, { "root", type = "path" } } }
    assert.equal("", assert(args.keyvalues(s, { "journal=" })).journal)
    assert.same({ nil, "key 'root': '' is an empty path", "XK_EINVAL" }, { args.keyvalues(s, { "root=" }) })
  end)

  it("helps", function()
    assert.equal([[
web - serves files

Keys:
  port=INTEGER   where to listen (from 1 to 65535; default 80)
  root=PATH      the directory (required)
  tags=LIST      words
  ratio=NUMBER
  index=BOOLEAN  list directories (default false)
  mode=STRING    (one of fast, safe; default safe)

Examples:
  # on another port
  web root=/srv port=8080
]], args.keyvalues(spec, {"port=x", "--help"}).help)
  end)

  it("raises on a wrong spec", function()
    assert.error_matches(function() args.keyvalues({name = "a", keys = {{"x", type = "y"}}}, {}) end, "unknown type")
    assert.error_matches(function() args.keyvalues({name = "a", keys = {{"help"}}}, {}) end, "reserved")
    assert.error_matches(function() args.keyvalues({name = "a", keys = {{"x"}, {"x"}}}, {}) end, "twice")
  end)
end)
