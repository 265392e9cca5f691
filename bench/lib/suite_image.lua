-- Images in files: `xenkit image convert` beside qemu-img, from a raw image of 2 GiB with 256 MiB of data in it to a VHD
-- and back, in memory. Both are told to end with a sync, which costs nothing there. Elapsed time, the program's start
-- included. SPDX-License-Identifier: MIT
local tools = require("tools")

return function(out)
  if not tools.exists("build/xenkit") then return out.note("image", "build/xenkit is not built") end
  local tool, rounds = tools.need("bench_tool"), tools.quick and 5 or 15
  local qemu = tools.which("qemu-img")
  local dir = tools.sh("mktemp -d /dev/shm/xkbench.XXXXXX 2>/dev/null"):match("[^\n]+") or tools.temp()
  if not qemu then out.note("image", "peer skipped: install qemu-utils") end
  tools.sh(("cd %s && for at in 0 300 301 1000; do dd if=/dev/urandom of=raw bs=1M count=64 seek=$at conv=notrunc " ..
    "2>/dev/null; done; truncate -s 2G raw"):format(dir))

  local function timed(command, made)
    os.remove(made)
    return tools.sample(("%s%s run %s"):format(tools.on(1), tool, command))[1]
  end

  local function row(title, ours, made, theirs, made_too)
    local t = { ours = {}, qemu = {} }
    for _ = 1, rounds do
      t.ours[#t.ours + 1] = timed(ours, made)
      if qemu then t.qemu[#t.qemu + 1] = timed(theirs, made_too) end
    end
    out.row({ workload = title, unit = "ns", key = "ns", ours = t.ours, theirs = t.qemu, peer = "qemu-img",
      lower_is_better = true })
  end

  local raw, vhd, back = dir .. "/raw", dir .. "/ours.vhd", dir .. "/ours.raw"
  row("raw to dynamic VHD (goal 1.0)", ("build/xenkit image convert %s %s"):format(raw, vhd), vhd,
    ("qemu-img convert -t writeback -f raw -O vpc -o force_size=on %s %s/qemu.vhd"):format(raw, dir), dir .. "/qemu.vhd")
  row("dynamic VHD to raw", ("build/xenkit image convert %s %s"):format(vhd, back), back,
    ("qemu-img convert -t writeback -f vpc -O raw %s %s/qemu.raw"):format(vhd, dir), dir .. "/qemu.raw")
  row("raw to fixed VHD", ("build/xenkit image convert -f vhd-fixed %s %s"):format(raw, vhd), vhd,
    ("qemu-img convert -t writeback -f raw -O vpc -o subformat=fixed,force_size=on %s %s/qemu.vhd"):format(raw, dir),
    dir .. "/qemu.vhd")

  -- Encrypted, in memory, each in one process; passphrases are not in the times. qemu-io tells how fast one large request
  -- was, ours are of 1 MiB then; small ones are compared with the same image without encryption.
  local crypt, qemu_io = tools.program("crypt_bench"), tools.which("qemu-io")
  tools.sh(("cd %s && printf secret > key && %s/build/xenkit image create --luks --key-file key --cost 10 luks 64M")
    :format(dir, tools.root))
  local function ours_of(op, block, depth, count, plain)
    return tools.sample(("%s%s %s %d %d %d %s/luks %s/key%s"):format(tools.on(1), crypt, op, block, depth, count, dir,
      dir, plain and " plain" or ""))[1]
  end
  local function large(op)
    local t = { ours = {}, qemu = {} }
    for _ = 1, rounds do
      t.ours[#t.ours + 1] = ours_of(op, 1 << 20, 1, 256)
      local said = qemu_io and tools.sh(("%sqemu-io --object secret,id=s,file=%s/key,format=raw -t writeback --image-opts " ..
        "driver=luks,key-secret=s,file.filename=%s/luks -c '%s 0 32M' -c '%s 0 32M'"):format(tools.on(1), dir, dir, op, op))
      local n, unit = (said or ""):match "([%d.]+) ([MG])iB/sec[^\n]*\n*$"
      if n then t.qemu[#t.qemu + 1] = { rate = tonumber(n) * (unit == "G" and 1024 or 1) } end
    end
    out.row({ workload = ("encrypted: %s, large"):format(op), unit = "MiB/s", ours = t.ours, theirs = t.qemu,
      peer = "qemu-io" })
  end
  local function small(op, depth)
    local t = { ours = {}, plain = {} }
    for _ = 1, rounds do
      t.ours[#t.ours + 1] = ours_of(op, 4096, depth, 50000)
      t.plain[#t.plain + 1] = ours_of(op, 4096, depth, 50000, true)
    end
    out.row({ workload = ("encrypted: %s 4 KiB, depth %d"):format(op, depth), unit = "op/s", ours = t.ours,
      theirs = t.plain, peer = "not encrypted" })
  end
  for _, op in ipairs(crypt and { "read", "write" } or {}) do
    large(op)
    small(op, 1)
    small(op, 32)
  end

  -- Small files: a folder of 1000 of them into a file system and out of it; and ten such folders, beside which the
  -- programs' starts are little. The limits out of it are a program that only makes the same files, and one that reads what
  -- they take of the image, too.
  if not tools.which("mcopy") then out.note("image", "peer skipped: install mtools") end
  tools.sh(("mkdir -p %s/in; cd %s/in; for i in $(seq 1000); do head -c $((i * 7 %% 8000)) /dev/urandom > file$i.txt; done")
    :format(dir, dir))
  tools.sh(("mkdir -p %s/ten; for i in 0 1 2 3 4 5 6 7 8 9; do cp -r %s/in %s/ten/d$i; done"):format(dir, dir, dir))
  local PEERS = { { "mtools", "mtools" }, { "makes", "only makes them" }, { "reads", "reads it, makes them" } }
  local function files(title, commands)
    local t = { ours = {}, mtools = {}, makes = commands.makes and {}, reads = commands.reads and {} }
    commands.mtools = tools.which("mcopy") and commands.mtools
    for _ = 1, rounds do
      for name, command in pairs(commands) do
        if command then
          tools.sh(("cd %s && rm -rf out fs && %s"):format(dir, command[1]))
          table.insert(t[name], tools.sample(("%s%s run %s"):format(tools.on(1), tool, command[2]))[1])
        end
      end
    end
    for i, peer in ipairs(PEERS) do
      if t[peer[1]] then
        out.row({ workload = i == 1 and title or "", unit = "ns", key = "ns", ours = t.ours, theirs = t[peer[1]],
          peer = peer[2], lower_is_better = true })
      end
    end
  end
  local x = tools.root .. "/build/xenkit"
  local function there_and_back(title, folder, size, folders)
    local format = ("%s fat format fs %s"):format(x, size)
    local put_ours = ("%s fat put %s/fs %s/%s /"):format(x, dir, dir, folder)
    local put_mtools = ("mcopy -s -Q -i %s/fs %s/%s ::/"):format(dir, dir, folder)
    files(title, { ours = { format, put_ours }, mtools = { format, put_mtools } })
    local cluster = tools.sh(("cd %s && rm -f fs && %s && %s fat info --json fs"):format(dir, format, x)):match('"cluster":(%d+)')
    files("the same out of it", {
      ours = { format .. " && " .. put_ours, ("%s fat get %s/fs /%s %s/out"):format(x, dir, folder, dir) },
      mtools = { format .. " && " .. put_mtools .. " && mkdir out",
        ("mcopy -s -Q -n -i %s/fs ::/%s %s/out"):format(dir, folder, dir) },
      makes = { "true", ("%s make %s/out 1000 %d"):format(tool, dir, folders) },
      reads = { format .. " && " .. put_ours, ("%s make %s/out 1000 %d %s/fs %s"):format(tool, dir, folders, dir, cluster) } })
  end
  there_and_back("1000 small files into FAT (goal 0.5)", "in", "64M", 1)
  there_and_back("10000 small files into FAT", "ten", "256M", 10)
  tools.sh("rm -rf " .. dir)
end
