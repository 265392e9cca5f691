# Bindings, the domain program in its forms, the host tool, and the module for a stock lua5.4. SPDX-License-Identifier: MIT
file(GLOB XK_BINDINGS CONFIGURE_DEPENDS bindings/*.c)
file(GLOB_RECURSE XK_LUA_SOURCES CONFIGURE_DEPENDS lua/*.lua scripts/services/*.lua)

# Lua modules as C, compiled: for the tool all of them, and the services as source, as they go to domains so; for domains
# without what only domain 0 runs.
set(XK_MODULES_C ${CMAKE_BINARY_DIR}/modules.c)
set(XK_MODULES_DOMAIN_C ${CMAKE_BINARY_DIR}/modules_domain.c)
set(embed ${XK_LUA} ${CMAKE_SOURCE_DIR}/scripts/embed.lua)
add_custom_command(OUTPUT ${XK_MODULES_C}
  COMMAND ${embed} ${XK_MODULES_C} --compiled ${CMAKE_SOURCE_DIR}/lua/xenkit=xenkit
          --source ${CMAKE_SOURCE_DIR}/scripts/services=xenkit.services
  DEPENDS ${XK_LUA_SOURCES} ${CMAKE_SOURCE_DIR}/scripts/embed.lua ${CMAKE_SOURCE_DIR}/scripts/slim.lua VERBATIM)
add_custom_command(OUTPUT ${XK_MODULES_DOMAIN_C}
  COMMAND ${embed} ${XK_MODULES_DOMAIN_C} --compiled --without cli --without host ${CMAKE_SOURCE_DIR}/lua/xenkit=xenkit
  DEPENDS ${XK_LUA_SOURCES} ${CMAKE_SOURCE_DIR}/scripts/embed.lua ${CMAKE_SOURCE_DIR}/scripts/slim.lua VERBATIM)
add_custom_target(xk_modules_c DEPENDS ${XK_MODULES_C} ${XK_MODULES_DOMAIN_C})

# What only the host tool may do is not even linked into a domain program. domain-core has Lua, rings, store, console
# and vchan; domain-full all modules but encryption, which takes OpenSSL: domain-crypt has that, too.
list(FILTER XK_BINDINGS EXCLUDE REGEX "lua_(host|fat_files|crypt).c$")
set(XK_BINDINGS_FULL ${XK_BINDINGS})
list(FILTER XK_BINDINGS_FULL INCLUDE REGEX "/(lua_)?(http|dns|db|markup|resolve|crunch|fat)[a-z_]*.c$")
list(FILTER XK_BINDINGS EXCLUDE REGEX "/(lua_)?(http|dns|db|markup|resolve|crunch|fat)[a-z_]*.c$")
add_library(xk_bindings OBJECT ${XK_BINDINGS})
add_library(xk_bindings_full OBJECT ${XK_BINDINGS_FULL})
add_library(xk_bindings_crypt OBJECT bindings/lua_crypt.c)
add_library(xk_bindings_host OBJECT bindings/lua_host.c bindings/lua_fat_files.c)
foreach(t xk_bindings xk_bindings_full xk_bindings_crypt xk_bindings_host)
  target_include_directories(${t} PRIVATE ${CMAKE_SOURCE_DIR} SYSTEM ${XK_lua_INCLUDE})
  target_compile_options(${t} PRIVATE -fvisibility=default) # bindings/module.map chooses
endforeach()

function(xk_program target)
  cmake_parse_arguments(A "STATIC;FULL;CRYPT;HOST" "MODULES" "SOURCES" ${ARGN})
  add_executable(${target} src/program/registry.c src/program/watchdog.c src/program/memory.c ${A_MODULES} ${A_SOURCES} $<TARGET_OBJECTS:xk_bindings>)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR} SYSTEM ${XK_lua_INCLUDE})
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  if(A_FULL)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:xk_bindings_full>)
    target_compile_definitions(${target} PRIVATE XK_PROGRAM_FULL)
  endif()
  if(A_CRYPT)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:xk_bindings_crypt>)
    target_compile_definitions(${target} PRIVATE XK_PROGRAM_CRYPT)
  endif()
  if(A_HOST)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:xk_bindings_host>)
    target_compile_definitions(${target} PRIVATE XK_PROGRAM_HOST)
  endif()
  if(A_STATIC)
    target_link_options(${target} PRIVATE -static-pie -Wl,--gc-sections)
    add_dependencies(${target} xenkit_static)
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/include)
    target_link_libraries(${target} PRIVATE $<TARGET_FILE:xenkit_static> ${XK_STATIC_http_parser} ${XK_STATIC_cmark}
                          ${XK_STATIC_sqlite} ${XK_STATIC_cares} ${XK_STATIC_zlib} ${XK_STATIC_crypto} ${XK_STATIC_lua} ${XK_STATIC_xen} ${XK_STATIC_uring} m)
  elseif(A_HOST AND XK_STATIC_DOMAIN) # a short command spends half of its time on loading libraries that it does not use
    add_dependencies(${target} xenkit_static)
    target_sources(${target} PRIVATE src/program/late_crypto.c)
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/include)
    target_link_libraries(${target} PRIVATE $<TARGET_FILE:xenkit_static> ${XK_STATIC_http_parser} ${XK_STATIC_cmark}
                          ${XK_STATIC_sqlite} ${XK_STATIC_cares} ${XK_STATIC_zlib} ${XK_STATIC_lua}
                          ${XK_STATIC_seccomp} ${XK_STATIC_xen} ${XK_STATIC_uring} m)
  else()
    target_link_libraries(${target} PRIVATE xenkit_static xkdep_lua xkdep_http_parser xkdep_cmark xkdep_sqlite
                          xkdep_seccomp xkdep_xen xkdep_uring xkdep_cares xkdep_zlib xkdep_crypto m)
  endif()
  add_dependencies(${target} xk_modules_c)
endfunction()

xk_program(xenkit_cli FULL CRYPT HOST MODULES ${XK_MODULES_C} SOURCES src/cli/main.c)
set_target_properties(xenkit_cli PROPERTIES OUTPUT_NAME xenkit)
set(form "")
if(XK_STATIC_DOMAIN)
  set(form STATIC)
endif()
xk_program(xenkit-domain ${form} FULL MODULES ${XK_MODULES_DOMAIN_C} SOURCES src/program/domain.c)
xk_program(xenkit-domain-crypt ${form} FULL CRYPT MODULES ${XK_MODULES_DOMAIN_C} SOURCES src/program/domain.c)
xk_program(xenkit-domain-core ${form} MODULES ${XK_MODULES_DOMAIN_C} SOURCES src/program/domain.c)
# Stripped, as they boot in a stub domain; those with symbols are for Linux and for `xenkit symbolize`.
if(XK_STATIC_DOMAIN)
  foreach(t xenkit-domain xenkit-domain-crypt xenkit-domain-core)
    add_custom_command(TARGET ${t} POST_BUILD
      COMMAND ${CMAKE_STRIP} -o ${CMAKE_BINARY_DIR}/${t}.boot $<TARGET_FILE:${t}>)
  endforeach()
endif()

# Ways out of a world's networks, a process each.
set(XK_UPLINK src/uplink/main.c src/uplink/tap.c src/uplink/netns.c)
if(XK_SLIRP_INCLUDE AND XK_LIB_slirp)
  list(APPEND XK_UPLINK src/uplink/slirp.c src/uplink/seal.c)
else()
  message(STATUS "without libslirp (libslirp-dev): no way out of networks for who is not root")
  list(APPEND XK_UPLINK src/uplink/noslirp.c)
endif()
add_executable(xenkit-uplink ${XK_UPLINK})
target_include_directories(xenkit-uplink PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(xenkit-uplink PRIVATE _GNU_SOURCE)
if(XK_LIB_slirp)
  target_include_directories(xenkit-uplink SYSTEM PRIVATE ${XK_SLIRP_INCLUDE})
  target_link_libraries(xenkit-uplink PRIVATE ${XK_LIB_slirp} xkdep_seccomp)
endif()

# `require "xenkit"` under a stock lua5.4: LUA_CPATH="BUILD/lua/?.so", LUA_PATH="lua/?.lua;lua/?/init.lua". One shared
# object; Lua's all-in-one loader finds xenkit.core.NAME in it.
add_library(xenkit_lua MODULE src/program/module.c $<TARGET_OBJECTS:xk_bindings> $<TARGET_OBJECTS:xk_bindings_full>
            $<TARGET_OBJECTS:xk_bindings_crypt> $<TARGET_OBJECTS:xk_bindings_host>)
target_include_directories(xenkit_lua PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR} SYSTEM ${XK_lua_INCLUDE})
target_link_libraries(xenkit_lua PRIVATE xenkit_static xkdep_http_parser xkdep_cmark xkdep_sqlite xkdep_seccomp xkdep_xen
                      xkdep_uring xkdep_cares xkdep_zlib xkdep_crypto m)
target_compile_definitions(xenkit_lua PRIVATE XK_PROGRAM_FULL XK_PROGRAM_CRYPT)
target_link_options(xenkit_lua PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/bindings/module.map)
set_target_properties(xenkit_lua PROPERTIES PREFIX "" OUTPUT_NAME xenkit
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lua)
