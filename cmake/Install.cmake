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
