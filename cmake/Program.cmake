# Bindings, the domain program in its forms, the host tool, and the module for a stock lua5.4. SPDX-License-Identifier: MIT
file(GLOB XK_BINDINGS CONFIGURE_DEPENDS bindings/*.c)
file(GLOB_RECURSE XK_LUA_SOURCES CONFIGURE_DEPENDS lua/*.lua scripts/services/*.lua)
set(XK_MODULES_C ${CMAKE_BINARY_DIR}/modules.c)
add_custom_command(OUTPUT ${XK_MODULES_C}
  COMMAND ${XK_LUA} ${CMAKE_SOURCE_DIR}/scripts/embed.lua ${XK_MODULES_C} ${CMAKE_SOURCE_DIR}/lua/xenkit=xenkit
          ${CMAKE_SOURCE_DIR}/scripts/services=xenkit.services
  DEPENDS ${XK_LUA_SOURCES} ${CMAKE_SOURCE_DIR}/scripts/embed.lua VERBATIM)
add_custom_target(xk_modules_c DEPENDS ${XK_MODULES_C})

# domain-core has Lua, rings, store, console and vchan; domain-full all modules.
option(XK_CORE_ONLY "leave out HTTP, DNS, SQLite and Markdown" OFF)
set(XK_FULL XK_PROGRAM_FULL)
if(XK_CORE_ONLY)
  set(XK_FULL "")
endif()

# What only the host tool may do is not even linked into a domain program.
list(FILTER XK_BINDINGS EXCLUDE REGEX "lua_host.c$")
if(NOT XK_FULL)
  list(FILTER XK_BINDINGS EXCLUDE REGEX "/(lua_)?(http|dns|db|markup)[a-z_]*.c$")
endif()
add_library(xk_bindings OBJECT ${XK_BINDINGS})
add_library(xk_bindings_host OBJECT bindings/lua_host.c)
foreach(t xk_bindings xk_bindings_host)
  target_include_directories(${t} PRIVATE ${CMAKE_SOURCE_DIR} SYSTEM ${XK_lua_INCLUDE})
  target_compile_options(${t} PRIVATE -fvisibility=default) # bindings/module.map chooses
endforeach()

function(xk_program target)
  cmake_parse_arguments(A "STATIC" "" "SOURCES;DEFINITIONS" ${ARGN})
  add_executable(${target} src/program/registry.c ${XK_MODULES_C} ${A_SOURCES} $<TARGET_OBJECTS:xk_bindings>)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR} SYSTEM ${XK_lua_INCLUDE})
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE ${A_DEFINITIONS})
  if(A_STATIC)
    target_link_options(${target} PRIVATE -static-pie -Wl,--gc-sections)
    add_dependencies(${target} xenkit_static)
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/include)
    target_link_libraries(${target} PRIVATE $<TARGET_FILE:xenkit_static> ${XK_STATIC_http_parser} ${XK_STATIC_cmark}
                          ${XK_STATIC_sqlite} ${XK_STATIC_lua} m)
  else()
    target_link_libraries(${target} PRIVATE xenkit_static xkdep_lua xkdep_http_parser xkdep_cmark xkdep_sqlite
                          xkdep_seccomp m)
  endif()
  add_dependencies(${target} xk_modules_c)
endfunction()

xk_program(xenkit_cli SOURCES src/cli/main.c $<TARGET_OBJECTS:xk_bindings_host> DEFINITIONS ${XK_FULL} XK_PROGRAM_HOST)
set_target_properties(xenkit_cli PROPERTIES OUTPUT_NAME xenkit)
if(XK_STATIC_DOMAIN)
  xk_program(xenkit-domain STATIC SOURCES src/program/domain.c DEFINITIONS ${XK_FULL})
else()
  xk_program(xenkit-domain SOURCES src/program/domain.c DEFINITIONS ${XK_FULL})
endif()

# `require "xenkit"` under a stock lua5.4: LUA_CPATH="BUILD/lua/?.so", LUA_PATH="lua/?.lua;lua/?/init.lua". One shared
# object; Lua's all-in-one loader finds xenkit.core.NAME in it.
add_library(xenkit_lua MODULE src/program/module.c $<TARGET_OBJECTS:xk_bindings> $<TARGET_OBJECTS:xk_bindings_host>)
target_include_directories(xenkit_lua PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR} SYSTEM ${XK_lua_INCLUDE})
target_link_libraries(xenkit_lua PRIVATE xenkit_static xkdep_http_parser xkdep_cmark xkdep_sqlite xkdep_seccomp m)
if(XK_FULL)
  target_compile_definitions(xenkit_lua PRIVATE XK_PROGRAM_FULL)
endif()
target_link_options(xenkit_lua PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/bindings/module.map)
set_target_properties(xenkit_lua PROPERTIES PREFIX "" OUTPUT_NAME xenkit
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lua)
