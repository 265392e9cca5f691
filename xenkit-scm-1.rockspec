rockspec_format = "3.0"
package = "xenkit"
version = "scm-1"
source = { url = "git+https://localhost/xenkit.git" }
description = {
  summary = "Services made of small isolated domains that talk over shared-memory rings",
  detailed = "Lua 5.4 bindings of libxenkit: hosted domains without Xen and root, xenstore, vchan, consoles, HTTP, DNS, jobs.",
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.5" }
build = {
  type = "cmake",
  variables = { CMAKE_INSTALL_PREFIX = "$(PREFIX)", XK_LUA_DIR = "$(LUADIR)", XK_LUA_CDIR = "$(LIBDIR)", XK_TESTS = "OFF" },
}
test = { type = "command", command = "scripts/test" }
