-- An image is made, read in its parts, and refused when it is damaged: the same on every ground.
local crunch = require "xenkit.crunch"

return {
  summary = "Makes and reads an image.",
  start = function()
    local files, noise = {}, {}
    for i = 1, 5000 do noise[i] = string.char(i * i % 251 ~ i % 7) end
    for i = 1, 40 do files[("d%d/f%02d.html"):format(i % 3, i)] = ("line %d\n"):format(i):rep(i * i) end
    files["noise.bin"] = table.concat(noise)
    local bytes = assert(crunch.make(files, { time = 1700000001, align = 4096 }))
    local image <close> = assert(crunch.open(bytes))
    print(#bytes, image:count(), (image:check()))
    for path, f in image:each() do
      print(path, f.size, f.stored, f.method, f.at, f.crc, f.type, f.etag, image:read(path) == files[path],
        #(image:gzip(path) or ""))
    end
    print(image:read("d1/f40.html", 1000, 1020), crunch.open(bytes:sub(1, -2)))
  end,
}
