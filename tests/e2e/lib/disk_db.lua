-- A database on a disk: a row at a time, each told in the store when its commit was acknowledged.
local core = require "xenkit.core.db"
local task = require "xenkit.task"

return {
  summary = "Keeps a database on its disk.",
  start = function(ctx)
    local store, disk = ctx.store, ctx.disk.data or ctx.disk.xvda
    assert(disk:wait(10))
    local db <close> = assert(core.open { disk = disk })
    assert(db:exec "CREATE TABLE IF NOT EXISTS t(i INTEGER PRIMARY KEY, v)")
    local check, count
    for row in db:prepare("PRAGMA integrity_check"):rows() do check = row.integrity_check end
    for row in db:prepare("SELECT count(*) AS n, max(i) AS most FROM t"):rows() do
      count = row.n
      assert(row.n == (row.most or 0), "rows are missing")
    end
    store:write("data/check", check)
    store:write("data/found", count)
    for row in db:prepare("SELECT count(*) AS n FROM t WHERE length(v) <> i % 300 OR trim(v, 'v') <> ''"):rows() do
      assert(row.n == 0, "rows are wrong")
    end
    local insert = db:prepare "INSERT INTO t VALUES(?, ?)"
    while not ctx.stopping() do
      count = count + 1
      assert(insert:run(count, ("v"):rep(count % 300)))
      store:write("data/count", count)
      task.sleep(0.002)
    end
  end,
}
