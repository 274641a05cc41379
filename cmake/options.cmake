# Compiler options for every target of ours, carried by the interface target gossamer_options.
add_library(gossamer_options INTERFACE)
target_include_directories(gossamer_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(gossamer_options INTERFACE
  -Wall -Wextra -Werror -Wno-psabi
  # Designated initialisers leave fields out on purpose: the defaults stand in the struct.
  -Wno-missing-field-initializers
  # g++ 12 sees overlapping copies in std::string where there are none (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  # The numerics contract: no contraction or reassociation that a kernel did not write down itself.
  -ffp-contract=off -fno-fast-math)
if(GOSSAMER_SANITIZE)
  target_compile_options(gossamer_options INTERFACE
    -fsanitize=${GOSSAMER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    # g++ 12 with sanitizers sees uninitialized values inside std::regex and std::function.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(gossamer_options INTERFACE -fsanitize=${GOSSAMER_SANITIZE})
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

# gossamer_library(NAME SOURCES a.cc ... DEPENDS gossamer_x ...): one target per room.
function(gossamer_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC gossamer_options ${ARG_DEPENDS})
endfunction()

# Under sanitizers, what computes little is compiled without optimization: half of the time of those builds was spent
# on the program's options and on tests.
function(gossamer_compile_quickly target)
  if(GOSSAMER_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()
