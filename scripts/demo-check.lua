-- Plays the demo's story unattended and verifies it from outside: curl, dig, wrk, headless Chromium, kill -9.
-- Called by scripts/demo --check. Prints a line for each step; exits 0, or 1 and says what failed.
local build = arg[1]
local tmp = os.tmpname()
os.remove(tmp)
local env = ("XENKIT_RUNTIME_DIR=%s/rt XENKIT_DATA=%s/data XENKIT_DASHBOARD_PORT=0 "):format(tmp, tmp)
local failures = 0

local function sh(command)
  local p = assert(io.popen(command .. " 2>&1"))
  local text = p:read("a")
  local ok = p:close()
  return text, ok == true
end

local function x(words) return sh(env .. "timeout -k 2 30 " .. build .. "/xenkit " .. words) end

local function step(name, ok, detail)
  print((ok and "ok      " or "FAILED  ") .. name .. (detail and detail ~= "" and "  (" .. detail .. ")" or ""))
  io.stdout:flush()
  if not ok then failures = failures + 1 end
  return ok
end

local function has(text, piece) return text:find(piece, 1, true) ~= nil end
local function sleep(s) os.execute("sleep " .. s) end

local function www_count()
  local n = 0
  for name in x("list --json"):gmatch('"name":"([^"]+)"') do if name:match("^www%-%d+$") then n = n + 1 end end
  return n
end

-- Waits until fn() is true, at most `seconds`. @return the seconds it took, or nil
local function wait_for(seconds, fn)
  local start = os.time()
  repeat
    if fn() then return os.time() - start end
    sleep(0.3)
  until os.time() - start > seconds
end

local function page_and_zone(site, dns)
  local text = sh("curl -s -m 5 -i " .. site .. "/")
  step("the page is served", has(text, " 200 OK") and has(text, "xenkit"), text:match("X%-Domain: %d+"))
  local etag = text:match("[Ee][Tt]ag: ([^\r\n]+)")
  local again = etag and sh(("curl -s -m 5 -o /dev/null -w '%%{http_code}' -H 'If-None-Match: %s' %s/"):format(etag,
    site))
  step("and not sent twice", again == "304", again)
  step("a Lua handler answers", has(sh("curl -s -m 5 " .. site .. "/hello"), "Hello from domain"))
  local dig = ("dig +time=2 +tries=2 @%s -p %s "):format(dns:match("^(.*):(%d+)$"))
  step("the zone is answered", has(sh(dig .. "www.xenkit.test A +short"), "127.0.0.1"))
  step("over TCP, too", has(sh(dig .. "+tcp xenkit.test SOA +short"), "ns1.xenkit.test."))
  local no = sh(dig .. "no.such.name.invalid-here.example A")
  step("and what is not ours is refused", has(no, "REFUSED"))
end

local CHROMIUM = "timeout -k 5 60 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run " ..
  "--disable-background-networking --disable-component-update --disable-sync --user-data-dir=%s/chromium "

local function browser(site, dashboard)
  local dom = sh((CHROMIUM .. "--dump-dom %s/"):format(tmp, site))
  step("Chromium shows the site", has(dom, "<h1") and has(dom, "xenkit"))
  -- Its numbers come by server-sent events, which never end; ?poll makes the page ask instead.
  local live = sh((CHROMIUM .. "--virtual-time-budget=4000 --dump-dom %s/?poll"):format(tmp, dashboard))
  step("Chromium shows the dashboard with its domains", has(live, "www-") and has(live, "queue"))
end

local function scaling(site)
  local before = www_count()
  step("one www domain without load", before == 1, tostring(before))
  local wrk = io.popen(("timeout 40 wrk -t1 -c64 -d15s %s/hello 2>&1"):format(site))
  local most = 0
  wait_for(14, function()
    most = math.max(most, www_count())
    return most > 1
  end)
  step("load raises the number of www domains", most > 1, most .. " domains")
  local report = wrk:read("a")
  wrk:close()
  step("and no request failed", not has(report, "Non-2xx"), report:match("Requests/sec:%s+[%d.]+"))
  local took = wait_for(60, function() return www_count() == 1 end)
  step("the end of the load lowers it", took ~= nil, took and took .. " s" or www_count() .. " domains")
  step("the site goes on", has(sh("curl -s -m 5 " .. site .. "/hello"), "Hello"))
end

local function story()
  os.execute("mkdir -p " .. tmp .. "/rt " .. tmp .. "/data")
  local text, ok = x("up -d -q examples/demo.lua")
  if not step("the world comes up", ok, text) then return end
  local info = x("info --json")
  local function address(key) return info:match('"' .. key:gsub("%.", "%%.") .. '":"([^"]+)"') end
  local site, dashboard = "http://" .. (address("www.http") or "?"), "http://" .. (address("dashboard.http") or "?")
  page_and_zone(site, address("dns.dns.udp") or "?:0")
  browser(site, dashboard)
  scaling(site)
  text, ok = x("down")
  step("the world goes down", ok, text)
  local left = sh("ls -A " .. tmp .. "/rt")
  step("and leaves no socket or file", left == "", left)
  local crash = sh("timeout -k 5 150 env XK_LONG=1 lua5.4 tests/e2e/queue.lua " .. build)
  print((crash:gsub("%s+$", "")))
  step("200 jobs survive five rounds of kill -9", has(crash, "ok ") and not has(crash, "not ok"))
end

local ok, err = pcall(story)
if not ok then step("the story", false, tostring(err)) end
x("down")
os.execute("rm -rf " .. tmp)
print(failures == 0 and "demo: all well" or ("demo: %d failed"):format(failures))
os.exit(failures == 0 and 0 or 1)
