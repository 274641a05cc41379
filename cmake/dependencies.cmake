# Outside libraries: all are Debian 12 packages (docs/dependencies.md says why each was chosen).
# Boost.JSON, CLI11 and xxHash are used header-only, and fmt in a cross build, which then needs only their headers.
find_package(Threads REQUIRED)

find_path(BOOST_INCLUDE_DIR boost/json.hpp REQUIRED)
find_path(FMT_INCLUDE_DIR fmt/format.h REQUIRED)
find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)

# A cross compiler must not see the rest of the host's headers: links to those libraries alone.
if(CMAKE_CROSSCOMPILING AND NOT GOSSAMER_HEADER_OVERLAY)
  set(GOSSAMER_HEADER_OVERLAY ${CMAKE_BINARY_DIR}/host-headers)
  file(MAKE_DIRECTORY ${GOSSAMER_HEADER_OVERLAY})
  file(CREATE_LINK ${BOOST_INCLUDE_DIR}/boost ${GOSSAMER_HEADER_OVERLAY}/boost SYMBOLIC)
  file(CREATE_LINK ${FMT_INCLUDE_DIR}/fmt ${GOSSAMER_HEADER_OVERLAY}/fmt SYMBOLIC)
  file(CREATE_LINK ${XXHASH_INCLUDE_DIR}/xxhash.h ${GOSSAMER_HEADER_OVERLAY}/xxhash.h SYMBOLIC)
endif()

add_library(gossamer_dependencies INTERFACE)
target_include_directories(gossamer_dependencies SYSTEM INTERFACE ${GOSSAMER_HEADER_OVERLAY})
target_link_libraries(gossamer_dependencies INTERFACE Threads::Threads)
if(CMAKE_CROSSCOMPILING)
  target_compile_definitions(gossamer_dependencies INTERFACE FMT_HEADER_ONLY)
else()  # compiled: header-only costs every file three more seconds
  find_package(fmt REQUIRED)
  target_link_libraries(gossamer_dependencies INTERFACE fmt::fmt)
  find_package(OpenSSL REQUIRED)
endif()
