-- Runs every test and counts. Called by scripts/test after set-up; one test program: scripts/test.lua NAME...
local build = os.getenv("BUILD") or "build"
local preset = os.getenv("XK_PRESET")
if preset and preset ~= "release" then build = "build/" .. preset end
local passed, failed, skipped, failures = 0, 0, 0, {}
local only = {}
for _, name in ipairs(arg) do only[name] = true end

local function sh(command)
  local ok, what, code = os.execute(command)
  return ok == true, what, code
end

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local function lines_of(command)
  local p = assert(io.popen(command .. " 2>&1"))
  local lines = {}
  for line in p:lines() do lines[#lines + 1] = line end
  p:close()
  return lines
end

local function fail(name, lines)
  failures[#failures + 1] = name
  print("FAILED " .. name)
  for i = math.max(1, #lines - (name == "lab" and 200 or 40)), #lines do print("    " .. lines[i]) end
end

-- The output of a program that prints TAP: each ok line counts. `seconds` is how long it took, if that is known.
local function judge(name, lines, rc, seconds)
  local bad, any = 0, 0
  for _, l in ipairs(lines) do
    if l:match("^ok ") then
      any = any + 1
      if l:match("# [Ss][Kk][Ii][Pp]") then skipped = skipped + 1 else passed = passed + 1 end
    elseif l:match("^not ok ") then
      bad = bad + 1
    end
  end
  if rc == 77 and any == 0 then skipped = skipped + 1
  elseif bad == 0 and (rc ~= 0 or any == 0) then bad = 1 end
  failed = failed + bad
  if bad > 0 then fail(name, lines) end
  io.stderr:write(("  %-32s %3d%s\n"):format(name, any, seconds and seconds > 1 and ("  %4d s"):format(seconds) or ""))
end

local function tap(name, command)
  local from = os.time()
  local lines = lines_of("timeout -k 5 300 " .. command .. "; echo rc=$?")
  judge(name, lines, tonumber((lines[#lines] or ""):match("^rc=(%d+)")) or 1, os.time() - from)
end

local function section(title) io.stderr:write(title .. "\n") end

local function wanted(name) return not next(only) or only[name] end

section("build (" .. build .. ")")
local configure = preset and preset ~= "release" and ("cmake --preset " .. preset) or ("cmake -S . -B " .. build)
local log = os.tmpname()
if not sh(configure .. " > " .. log .. " 2>&1 && cmake --build " .. build .. " -j2 >> " .. log .. " 2>&1") then
  local lines = lines_of("cat " .. log)
  fail("build", lines)
  os.remove(log)
  print("0 passed, 1 failed, 0 skipped")
  os.exit(1)
end
os.remove(log)

-- What needs a processor and no exact times runs beside the C and Lua tests.
local function background(command)
  local p = assert(io.popen(command .. " 2>&1; echo rc=$?"))
  return function()
    local lines = {}
    for line in p:lines() do lines[#lines + 1] = line end
    p:close()
    return lines, tonumber((table.remove(lines) or ""):match("^rc=(%d+)"))
  end
end

section("layers, style")
tap("layers", "sh tests/layers.sh " .. quote(build))
tap("matrix", "sh tests/matrix.sh")
if wanted("luacheck") then
  local lines = lines_of("luacheck -q --no-color lua scripts tests/lua tests/guest examples")
  if lines[#lines] and lines[#lines]:match(" 0 warnings / 0 errors") then passed = passed + 1
  else failed = failed + 1; fail("luacheck", lines) end
end

if wanted("clang-format") then
  local lines = lines_of("command -v clang-format > /dev/null || { echo none; exit; }; " ..
    "git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror && echo clean")
  if lines[#lines] == "none" then skipped = skipped + 1
  elseif lines[#lines] == "clean" then passed = passed + 1
  else failed = failed + 1; fail("clang-format", lines) end
end

local env = ('LUA_CPATH="$PWD/%s/lua/?.so;;" ' ..
  'LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;$PWD/tests/lua/?.lua;;" '):format(build)

local cppcheck = wanted("cppcheck") and background("cppcheck -q --enable=warning,portability " ..
  "--suppress=missingIncludeSystem --error-exitcode=1 -Iinclude -Isrc -I. src drivers bindings")

-- All fuzz targets, one after the other: each prints its lines, then its name and status.
local function fuzz_all()
  local long, script = os.getenv("XK_LONG"), {}
  local function add(name, command)
    if wanted("fuzz_" .. name) then
      script[#script + 1] = ("timeout -k 5 300 %s; echo fuzzed %s $?"):format(command, name)
    end
  end
  for _, path in ipairs(lines_of("ls " .. build .. "/fuzz/fuzz_* 2>/dev/null | grep -v '\\.'")) do
    local name = path:match("fuzz_([%w_]+)$")
    if name then add(name, ("%s -seconds %d tests/c/fuzz/corpus/%s"):format(path, long and 60 or 2, name)) end
  end
  for _, name in ipairs(lines_of("ls tests/lua/fuzz/corpus")) do
    add(name, ("env %slua5.4 tests/lua/fuzz/driver.lua %s -seconds %d"):format(env, name, long and 60 or 1))
  end
  script[#script + 1] = "true"
  return background("{ " .. table.concat(script, "; ") .. "; }")
end
local fuzzed = fuzz_all()

section("C")
for _, path in ipairs(lines_of("ls " .. build .. "/tests/test_* | grep -v '\\.'")) do
  local name = path:match("[^/]+$")
  if wanted(name) then tap(name, path) end
end

section("Lua")
for _, path in ipairs(lines_of("ls tests/lua/*_spec.lua")) do
  local name = path:match("([^/]+)%.lua$")
  if wanted(name) then tap(name, "env " .. env .. "busted --output=TAP " .. path) end
end

section("fuzz, a second or two each; cppcheck")
if cppcheck then
  local lines, rc = cppcheck()
  if rc == 0 then passed = passed + 1 else failed = failed + 1; fail("cppcheck", lines) end
end
local said = {}
for _, line in ipairs(fuzzed()) do
  local name, rc = line:match("^fuzzed (%S+) (%d+)$")
  if not name then said[#said + 1] = line
  else
    if rc == "0" then passed = passed + 1 else failed = failed + 1; fail("fuzz_" .. name, said) end
    said = {}
  end
end

-- QEMU takes one processor; what goes from end to end mostly waits.
local guest = wanted("guest") and background("timeout -k 5 300 lua5.4 tests/guest/run.lua " .. quote(build))

section("end to end")
for _, path in ipairs(lines_of("find tests/e2e -maxdepth 1 -name '*.lua' -o -maxdepth 1 -name '*.sh' | sort")) do
  local name = path:match("([^/]+)%.%w+$")
  if wanted(name) then tap(name, (path:match("%.sh$") and "sh " or "lua5.4 ") .. path .. " " .. quote(build)) end
end

section("the stub kernel, in QEMU")
if guest then
  local lines, rc = guest()
  judge("guest", lines, rc or 1)
end

section("real Xen, in the lab")
if wanted("lab") then
  local names = {} -- these are .ci/run's, and of long runs
  local later = { lab = true, console = true, vchan = true, scenario = true, load = true, save = true, store = true,
    net = true, disk = true, stub = true }
  for _, path in ipairs(lines_of("ls tests/lab/test_*.sh")) do
    local name = path:match("test_(%w+)%.sh$")
    if not later[name] or os.getenv("XK_LONG") then names[#names + 1] = name end
  end
  local lines = lines_of("BUILD=" .. quote(build) .. " scripts/lab test " .. table.concat(names, " ") .. "; echo rc=$?")
  local n, bad, skips = (lines[#lines - 1] or ""):match("^(%d+) passed, (%d+) failed, (%d+) skipped")
  if lines[#lines] == "rc=77" then
    skipped = skipped + 1
    print("skipped: the lab: " .. (lines[#lines - 1] or ""))
  elseif not n then
    failed = failed + 1
    fail("lab", lines)
  else
    passed, failed, skipped = passed + n, failed + bad, skipped + skips
    if tonumber(bad) > 0 then fail("lab", lines) end
    io.stderr:write(("  %-32s %d\n"):format("lab", n))
  end
end

if #failures > 0 then print("failed: " .. table.concat(failures, ", ")) end
print(("%d passed, %d failed, %d skipped"):format(passed, failed, skipped))
os.exit(failed == 0 and 0 or 1)
