# cmake --install, pkg-config, find_package(xenkit). SPDX-License-Identifier: MIT
include(CMakePackageConfigHelpers)
install(TARGETS xenkit EXPORT xenkit LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS xenkit_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/xenkit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT xenkit FILE xenkitTargets.cmake NAMESPACE xenkit:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/xenkit)
configure_package_config_file(cmake/xenkitConfig.cmake.in ${CMAKE_BINARY_DIR}/xenkitConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/xenkit)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/xenkitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/xenkitConfig.cmake ${CMAKE_BINARY_DIR}/xenkitConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/xenkit)
configure_file(cmake/xenkit.pc.in ${CMAKE_BINARY_DIR}/xenkit.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/xenkit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The host tool with its domain program beside it, the Lua side, completion and the manual page.
set(XK_LUA_DIR ${CMAKE_INSTALL_DATAROOTDIR}/lua/5.4 CACHE STRING "where Lua modules go")
set(XK_LUA_CDIR ${CMAKE_INSTALL_LIBDIR}/lua/5.4 CACHE STRING "where Lua's C modules go")
install(TARGETS xenkit_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS xenkit-domain xenkit-domain-crypt xenkit-domain-core xenkit-uplink
        RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/xenkit)
if(TARGET xenkit-kernel) # with symbols for `xenkit symbolize`, and stripped as they boot
  install(TARGETS xenkit-kernel RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/xenkit)
  install(PROGRAMS ${CMAKE_BINARY_DIR}/xenkit-kernel.boot ${CMAKE_BINARY_DIR}/xenkit-domain.boot
          ${CMAKE_BINARY_DIR}/xenkit-domain-crypt.boot ${CMAKE_BINARY_DIR}/xenkit-domain-core.boot DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/xenkit)
endif()
install(TARGETS xenkit_lua LIBRARY DESTINATION ${XK_LUA_CDIR})
install(DIRECTORY lua/xenkit DESTINATION ${XK_LUA_DIR} PATTERN cli EXCLUDE PATTERN host EXCLUDE)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/xenkit.1 ${CMAKE_BINARY_DIR}/xenkit.bash
  COMMAND xenkit_cli man > ${CMAKE_BINARY_DIR}/xenkit.1
  COMMAND xenkit_cli completion > ${CMAKE_BINARY_DIR}/xenkit.bash
  DEPENDS xenkit_cli VERBATIM)
add_custom_target(xk_docs ALL DEPENDS ${CMAKE_BINARY_DIR}/xenkit.1)
install(FILES ${CMAKE_BINARY_DIR}/xenkit.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/xenkit.bash DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions
        RENAME xenkit)
