# One object library a floor, in the order of layers.txt; then what is made of them. SPDX-License-Identifier: MIT
set(XK_FLOOR_OBJECTS "")

# xk_floor(name DIR dir [DEPENDS dep...]) - all .c files of one folder
function(xk_floor name)
  cmake_parse_arguments(A "" "DIR;FILES" "DEPENDS;DEFINITIONS" ${ARGN})
  if(A_FILES)
    set(files ${A_FILES})
  else()
    file(GLOB files CONFIGURE_DEPENDS ${A_DIR}/*.c)
  endif()
  if(NOT files)
    return()
  endif()
  add_library(xk_${name} OBJECT ${files})
  target_include_directories(xk_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
  foreach(dep ${A_DEPENDS})
    target_include_directories(xk_${name} SYSTEM PRIVATE $<TARGET_PROPERTY:xkdep_${dep},INTERFACE_SYSTEM_INCLUDE_DIRECTORIES>)
  endforeach()
  target_compile_definitions(xk_${name} PRIVATE ${A_DEFINITIONS})
  set_property(GLOBAL APPEND PROPERTY XK_FLOORS xk_${name})
endfunction()

xk_floor(base DIR src/base)
xk_floor(platform FILES src/platform/platform.c)
xk_floor(platform-linux DIR src/platform/linux DEFINITIONS _GNU_SOURCE)
xk_floor(platform-fake DIR src/platform/fake DEFINITIONS _GNU_SOURCE)
xk_floor(platform-hosted DIR src/platform/hosted DEFINITIONS _GNU_SOURCE)
xk_floor(platform-stub DIR src/platform/stub DEFINITIONS _GNU_SOURCE)
xk_floor(platform-xen DIR src/platform/xen DEPENDS xen DEFINITIONS _GNU_SOURCE)
xk_floor(ring DIR src/ring)
xk_floor(loop DIR src/loop)
xk_floor(io DIR src/io)
xk_floor(store DIR src/store)
xk_floor(vchan DIR src/vchan)
xk_floor(console DIR drivers/console DEFINITIONS _GNU_SOURCE)
xk_floor(proto-dns DIR src/proto/dns)
xk_floor(proto-http DIR src/proto/http DEPENDS http_parser)
xk_floor(markup DIR src/markup DEPENDS cmark)
xk_floor(db DIR src/db DEPENDS sqlite)
xk_floor(host DIR src/host DEPENDS seccomp xen DEFINITIONS _GNU_SOURCE)

get_property(floors GLOBAL PROPERTY XK_FLOORS)
set(XK_LIB_OBJECTS "")
foreach(f ${floors})
  list(APPEND XK_LIB_OBJECTS $<TARGET_OBJECTS:${f}>)
endforeach()

# libxenkit: everything that does not see Lua.
add_library(xenkit SHARED ${XK_LIB_OBJECTS})
add_library(xenkit_static STATIC ${XK_LIB_OBJECTS})
set_target_properties(xenkit PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
set_target_properties(xenkit_static PROPERTIES OUTPUT_NAME xenkit)
target_link_options(xenkit PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/src/libxenkit.map)
if(NOT XK_SANITIZE)
  target_link_options(xenkit PRIVATE -Wl,--no-undefined)
endif()
foreach(t xenkit xenkit_static)
  target_include_directories(${t} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  target_link_libraries(${t} PRIVATE $<BUILD_INTERFACE:xkdep_http_parser> $<BUILD_INTERFACE:xkdep_cmark>
                                     $<BUILD_INTERFACE:xkdep_sqlite> $<BUILD_INTERFACE:xkdep_seccomp>
                                     $<BUILD_INTERFACE:xkdep_xen> Threads::Threads)
endforeach()

# The arrows, at every build.
find_program(XK_LUA NAMES lua5.4 REQUIRED)
set(XK_ALL_FLOORS ${floors})
add_custom_target(layers ALL
  COMMAND ${XK_LUA} ${CMAKE_SOURCE_DIR}/scripts/check-layers.lua --root ${CMAKE_SOURCE_DIR} ${XK_LIB_OBJECTS}
  DEPENDS ${XK_ALL_FLOORS} COMMENT "checking layers.txt" COMMAND_EXPAND_LISTS VERBATIM)

include(Program)
include(Kernel)
