# Programs for the stub kernel's own tests (tests/guest): static-PIE, as domain programs are; they run on Linux as well.
# SPDX-License-Identifier: MIT
if(NOT XK_STATIC_DOMAIN)
  return()
endif()
file(GLOB guests CONFIGURE_DEPENDS tests/guest/*.c)
foreach(g ${guests})
  get_filename_component(name ${g} NAME_WE)
  add_executable(guest_${name} ${g})
  set_target_properties(guest_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/guest OUTPUT_NAME ${name})
  target_include_directories(guest_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
  target_compile_definitions(guest_${name} PRIVATE _GNU_SOURCE)
  target_link_options(guest_${name} PRIVATE -static-pie -Wl,--gc-sections)
  add_dependencies(guest_${name} xenkit_static)
  target_link_libraries(guest_${name} PRIVATE $<TARGET_FILE:xenkit_static> ${XK_STATIC_sqlite} ${XK_STATIC_http_parser}
                        ${XK_STATIC_cmark} ${XK_STATIC_xen} m)
endforeach()
