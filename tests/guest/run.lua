-- The stub kernel under plain QEMU, without Xen: what programs do on it must be what they do on Linux, and what breaks
-- must be told. Prints TAP; exit code 77 when there is no QEMU. lua5.4 tests/guest/run.lua BUILD
local build = arg[1] or "build"
local count, bad = 0, false

local function sh(command)
  local p = assert(io.popen("exec 2>&1; " .. command))
  local out = p:read("a")
  local _, _, code = p:close()
  return out, code
end

local function ok(good, text, detail)
  count = count + 1
  if good then return print(("ok %d - %s"):format(count, text)) end
  bad = true
  print(("not ok %d - %s"):format(count, text))
  for line in ((detail or "") .. "\n"):gmatch("(.-)\n") do if line ~= "" then print("# " .. line) end end
end

if select(2, sh("command -v qemu-system-x86_64")) ~= 0 then
  print("# skip: no qemu-system-x86_64; apt-get install qemu-system-x86")
  os.exit(77)
end

local tmp = sh("mktemp -d"):gsub("\n", "")
local kernel = build .. "/xenkit-kernel.boot"

-- Runs an image; o: memory (MiB), cpu, words (command line), extra (of QEMU), seconds.
local function qemu(image, o)
  o = o or {}
  local out = sh(("timeout -k 2 %d qemu-system-x86_64 -nodefaults -no-user-config -M pc -accel tcg -cpu %s -m %d " ..
    "-display none -no-reboot -debugcon stdio -device isa-debug-exit,iobase=0xf4,iosize=1 -kernel %s -initrd %s " ..
    "-append '%s' %s < /dev/null"):format(o.seconds or 60, o.cpu or "max", o.memory or 32, kernel, image, o.words or "",
    o.extra or ""))
  return out:gsub("no store: [^\n]*\n", "")
end

local function stripped(name)
  local path = tmp .. "/" .. name
  sh(("strip -o %s %s/guest/%s"):format(path, build, name))
  return path
end

local function difference(a, b)
  local la, lb = {}, {}
  for l in (a .. "\n"):gmatch("(.-)\n") do la[#la + 1] = l end
  for l in (b .. "\n"):gmatch("(.-)\n") do lb[#lb + 1] = l end
  for i = 1, math.max(#la, #lb) do
    if la[i] ~= lb[i] then return ("line %d: Linux: %s\nhere: %s"):format(i, tostring(la[i]), tostring(lb[i])) end
  end
end

local function equal(text, linux, here)
  ok(linux == here and #linux > 0, text, difference(linux, here))
end

-- --- programs ------------------------------------------------------------------------------------------------------

for _, name in ipairs { "calls", "sqlite", "openssl" } do
  if select(2, sh(("test -x %s/guest/%s"):format(build, name))) == 0 then
    local linux = sh(("%s/guest/%s < /dev/null | cat"):format(build, name))
    equal(name .. " prints what it prints on Linux", linux, qemu(stripped(name)))
    if name == "sqlite" then equal("sqlite in 16 MiB", linux, qemu(tmp .. "/sqlite", { memory = 16 })) end
    if name == "openssl" then
      local out = qemu(tmp .. "/openssl", { cpu = "qemu64" })
      ok(out:find("PBKDF2", 1, true) and out:find("no entropy: keys and TLS are refused", 1, true),
        "without entropy OpenSSL refuses keys and says why, all else runs", out)
    end
  end
end

-- --- ways to break -------------------------------------------------------------------------------------------------

local crash = stripped "crash"
for _, case in ipairs {
  { "wild_write", "wild write", "break_by_wild_write" }, { "kernel_write", "wild write",
    "break_by_writing_the_kernel" },
  { "code_write", "wild write", "break_by_writing_code" }, { "read_0", "wild read", "break_by_reading_0" },
  { "division", "division by zero", "break_by_dividing" }, { "abort", "aborted", "abort" },
  { "privilege", "general protection fault", "break_by_privilege" },
  { "port", "general protection fault", "break_by_port" }, { "jump_0", "jump to 0", "break_by_jump_to_0" },
  { "run_data", "no code", "break_by_running_data" }, { "stack", "stack overflow", "break_by_stack_overflow" },
} do
  local out = qemu(crash, { words = case[1], memory = 8 })
  local f = assert(io.open(tmp .. "/report", "w"))
  f:write(out)
  f:close()
  local named = sh(("%s/xenkit symbolize --program %s/guest/crash %s/report"):format(build, build, tmp))
  ok(named:find(case[2], 1, true) and named:find(case[3], 1, true),
    case[1] .. " ends with a report that names the place", out .. named)
end
local out = qemu(crash, { words = "memory", memory = 8 })
ok(out:find("NULL after more than 1 MiB", 1, true) and out:find("well 1", 1, true),
  "memory runs out as NULL, and comes back", out)
out = qemu(crash, { words = "wx", memory = 8 })
ok(out:find("well 1", 1, true), "no page is writable and executable", out)

-- A hostile program: every call with hostile arguments, the memory calls against a model, and nothing kept in the end.
local attack = stripped "attack"
for _, seed in ipairs { 1, os.time() } do
  out = qemu(attack, { words = "seed=" .. seed, memory = 16 })
  ok(out:find("calls, well", 1, true), "an attack from ring 3, seed " .. seed, out)
end

-- --- domain programs -----------------------------------------------------------------------------------------------

local function image(script, options)
  local name = script:match("([^/]+)%.lua$")
  local said, code = sh(("%s/xenkit build %s -o %s/%s %s"):format(build, script, tmp, name, options or ""))
  if code ~= 0 then ok(false, "xenkit build " .. script, said) end
  return ("%s/%s/%s.img"):format(tmp, name, name)
end

local function service(name, o, expected)
  local here = qemu(image("tests/guest/services/" .. name .. ".lua"), o)
  equal(name .. " prints what it prints on Linux", expected or
    sh(("%s/xenkit run tests/guest/services/%s.lua"):format(build, name)), here)
end

local language = sh("lua5.4 tests/guest/language/main.lua")
ok(language:find("language: %d+ checks, 0 failed"), "the language suite passes under lua5.4", language:sub(-200))
equal("the same in a hosted domain", language, sh(build .. "/xenkit run tests/guest/services/language.lua"))
service("language", { memory = 16 }, language)
service("crunch", { memory = 16 })
service("specs", { memory = 16, seconds = 200 })

local function script(name, text)
  local path = tmp .. "/" .. name .. ".lua"
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
  return path
end

out = qemu(image(script("hog", [[
return { start = function(ctx)
  local held = {}
  local ok, err = pcall(function()
    while true do held[#held + 1] = ("x"):rep(10000) .. #held end
  end)
  print(ok, err, #held > 20)
  held = nil
  collectgarbage()
  print("well again", #("y"):rep(1000000))
  held = {}
  while true do held[#held + 1] = ("z"):rep(10000) .. #held end
end }
]])), { memory = 8 })
ok(out:find("false\tnot enough memory\ttrue", 1, true) and out:find("well again\t1000000", 1, true),
  "a service that uses up memory gets an error, and goes on once it has freed some", out)
ok(out:find("not enough memory at %S*hog.lua:11"), "one that does not care ends with a report that names the line", out)

local small = script("small", 'return { start = function() print("up in", collectgarbage("count") < 1000) end }\n')
for _, case in ipairs { { "core", 4 }, { "full", 16 } } do
  out = qemu(image(small, "--form " .. case[1]), { memory = case[2] })
  ok(out:find("up in\ttrue", 1, true), ("domain-%s boots in %d MiB"):format(case[1], case[2]), out)
end
sh("rm -rf " .. tmp)
print("1.." .. count)
os.exit(not bad)
