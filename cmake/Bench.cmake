# bench/run compares with peers; see bench/README.md. SPDX-License-Identifier: MIT
option(XK_BENCH "build the benchmarks" OFF)
if(XK_BENCH)
  add_subdirectory(bench)
endif()
