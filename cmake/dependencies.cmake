# Outside libraries: all are Debian 12 packages (docs/dependencies.md says why each was chosen).
# fmt, Boost.JSON and CLI11 are used header-only, so that a cross build needs only their headers.
find_package(Threads REQUIRED)

find_path(BOOST_INCLUDE_DIR boost/json.hpp REQUIRED)
find_path(FMT_INCLUDE_DIR fmt/format.h REQUIRED)

add_library(gossamer_dependencies INTERFACE)
target_include_directories(gossamer_dependencies SYSTEM INTERFACE ${GOSSAMER_HEADER_OVERLAY})
target_compile_definitions(gossamer_dependencies INTERFACE
  FMT_HEADER_ONLY)
target_link_libraries(gossamer_dependencies INTERFACE Threads::Threads)
