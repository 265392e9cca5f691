# The stub kernel: an ELF of its own for PVH, freestanding, that shares platform/stub/abi.h with the program and nothing
# else. It never touches SSE or AVX state and has no red zone. SPDX-License-Identifier: MIT
option(XK_KERNEL "build the stub kernel" ON)
if(NOT XK_KERNEL OR XK_SANITIZE OR XK_COVERAGE OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  return()
endif()
enable_language(ASM)
file(GLOB kernel_sources CONFIGURE_DEPENDS src/kernel/*.c)
add_executable(xenkit-kernel ${kernel_sources} src/kernel/entry.S)
target_include_directories(xenkit-kernel PRIVATE src SYSTEM ${XK_xen_INCLUDE})
target_compile_definitions(xenkit-kernel PRIVATE __XEN_INTERFACE_VERSION__=0x00040e00)
target_compile_options(xenkit-kernel PRIVATE $<$<COMPILE_LANGUAGE:C>:-Os -mgeneral-regs-only -mno-red-zone
  -fno-stack-protector -fno-builtin -ffreestanding -fno-tree-loop-distribute-patterns -fno-jump-tables -fcf-protection=none
  -mcmodel=kernel -fno-pic -fno-pie -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -flto>)
set_target_properties(xenkit-kernel PROPERTIES POSITION_INDEPENDENT_CODE OFF
                      LINK_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernel/kernel.lds)
target_link_options(xenkit-kernel PRIVATE -flto -Os -nostdlib -static -no-pie -Wl,-n,--gc-sections,--build-id=none
                    -Wl,-z,noexecstack -Wl,-T,${CMAKE_SOURCE_DIR}/src/kernel/kernel.lds)
# Beside it stripped, as it boots; the one with symbols is for `xenkit symbolize`.
add_custom_command(TARGET xenkit-kernel POST_BUILD
  COMMAND ${CMAKE_STRIP} -o ${CMAKE_BINARY_DIR}/xenkit-kernel.boot $<TARGET_FILE:xenkit-kernel>)
