-- blkfront to blkback between two hosted guests, against NBD (nbdkit, qemu-nbd) on the same file and against io_uring
-- straight on it, which is the limit. Whoever does the input and output runs on processor 1 (the back end, the servers,
-- io_uring itself: disks may interrupt one processor only), who asks for it on 0. CPU is of both sides.
-- SPDX-License-Identifier: MIT
local tools = require("tools")

local function serve_nbd(name, program, command, socket)
  if not tools.which(program) then return nil, name .. " skipped: install " .. name end
  return { pid = tools.serve(name, tools.on(1) .. command, "unix", socket), socket = socket }
end

return function(out)
  local ours, rounds, ms = tools.need("blk_bench"), tools.quick and 3 or 7, tools.quick and 150 or 300
  local peer, why = tools.program("blk_peer")
  local dir = tools.temp()
  local memory = tools.exists("/dev/shm") and "/dev/shm/xkbench-" .. dir:match("[^./]+$") .. ".img" or dir .. "/m.img"
  local disk = dir .. "/d.img"
  for _, file in ipairs({ memory, disk }) do
    tools.sh(string.format("dd if=/dev/urandom of=%s bs=1M count=64 2>/dev/null; sync %s", file, file))
  end
  if not peer then out.note("block", "peers skipped: install libnbd-dev liburing-dev; " .. (why or "")) end

  local servers = {}
  local function start(file)
    local direct = file == disk
    local at = dir .. "/" .. (direct and "disk" or "memory")
    servers = {}
    if not peer then return end
    local reason
    -- What nbdkit leaves in the page cache would have to be written by the next one's direct requests: it has a file of
    -- its own.
    local own = direct and dir .. "/n.img" or file
    if direct then tools.sh(("cp %s %s; sync %s"):format(file, own, own)) end
    servers.nbdkit, reason = serve_nbd("nbdkit", "nbdkit",
      string.format("nbdkit -f -U %s.nbdkit file %s", at, own), at .. ".nbdkit")
    if reason then out.note("block", reason) end
    servers["qemu-nbd"], reason = serve_nbd("qemu-utils", "qemu-nbd", string.format(
      "qemu-nbd -t -e 4 -f raw -k %s.qemu %s %s", at, direct and "--cache=none --aio=native" or "", file),
      at .. ".qemu")
    if reason then out.note("block", reason) end
  end

  local function measure(op, block, depth, file)
    local direct = file == disk and " direct" or ""
    -- Linux completes direct writes in a thread: on its processor a back end with real-time priority keeps it waiting.
    local as = file == disk and "env XK_BENCH_RT=0 " or ""
    local t = { ours = {}, uring = {} }
    for _ = 1, rounds do
      table.insert(t.ours, tools.sample(as .. string.format("%s ours %s %d %d %d %s%s", ours, op, block, depth, ms, file,
        direct))[1])
      if peer then
        table.insert(t.uring, tools.sample(as .. string.format("%s uring %s 0 %s %d %d %d%s", peer, file, op, block, depth,
          ms, direct))[1])
      end
      for name, server in pairs(servers) do
        t[name] = t[name] or {}
        table.insert(t[name], tools.sample(as .. string.format("%s nbd %s %d %s %d %d %d", peer, server.socket, server.pid,
          op, block, depth, ms))[1])
      end
    end
    return t
  end

  if peer then out.note("block", "nbdkit has no O_DIRECT: its rows of the disk are of the page cache") end
  for _, medium in ipairs({ { memory, "memory file" }, { disk, "disk, O_DIRECT" } }) do
    start(medium[1])
    for _, w in ipairs({ { "read", 4096, 1 }, { "read", 4096, 32 }, { "write", 4096, 1 }, { "write", 4096, 32 },
      { "read", 65536, 32 } }) do
      local t = measure(w[1], w[2], w[3], medium[1])
      local title = string.format("%s: %s %d KiB, depth %d", medium[2], w[1], w[2] // 1024, w[3])
      local first = true
      for _, name in ipairs({ "nbdkit", "qemu-nbd", "uring" }) do
        if t[name] and t[name][1] then
          out.row({ workload = first and title or "", unit = "op/s", ours = t.ours, theirs = t[name],
            peer = name == "uring" and "io_uring" or name })
          first = false
        end
      end
      if first then out.row({ workload = title, unit = "op/s", ours = t.ours }) end
    end
    for _, server in pairs(servers) do tools.stop(server.pid) end
  end
  os.remove(memory)
end
