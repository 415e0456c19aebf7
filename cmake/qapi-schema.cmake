# qapi_schema_library(name ROOT file.json OUTPUT directory): a static library of what qapi-gen makes of a
# schema.  Its headers are included as "schema/net.h".
#
# The names of the generated files follow from those of the schema's files, which are all those beside the
# root; qapi-gen itself says what else it read (--depfile).
function(qapi_schema_library name)
  cmake_parse_arguments(ARG "" "ROOT;OUTPUT" "" ${ARGN})
  get_filename_component(directory ${ARG_ROOT} DIRECTORY)
  file(GLOB modules CONFIGURE_DEPENDS ${directory}/*.json)
  set(generated ${ARG_OUTPUT}/schema/all_types.h)
  foreach(module ${modules})
    get_filename_component(stem ${module} NAME_WE)
    string(REPLACE "-" "_" stem ${stem})
    foreach(part "" _commands _events)
      list(APPEND generated ${ARG_OUTPUT}/schema/${stem}${part}.cc ${ARG_OUTPUT}/schema/${stem}${part}.h)
    endforeach()
  endforeach()
  set(depfile ${ARG_OUTPUT}/schema.d)
  add_custom_command(
    OUTPUT ${generated}
    COMMAND qapi-gen --emit cpp --output ${ARG_OUTPUT} --depfile ${depfile} ${ARG_ROOT}
    DEPENDS qapi-gen ${modules}
    DEPFILE ${depfile}
    COMMENT "Generating C++ from ${ARG_ROOT}"
    VERBATIM)
  foreach(kind keyval introspect)
    if(kind STREQUAL keyval)
      set(stem options)
    else()
      set(stem introspection)
    endif()
    set(files ${ARG_OUTPUT}/schema/${stem}.cc ${ARG_OUTPUT}/schema/${stem}.h)
    add_custom_command(
      OUTPUT ${files}
      COMMAND qapi-gen --emit ${kind} --output ${ARG_OUTPUT} ${ARG_ROOT}
      DEPENDS qapi-gen ${modules}
      COMMENT "Generating ${stem} from ${ARG_ROOT}"
      VERBATIM)
    list(APPEND generated ${files})
  endforeach()
  add_library(${name} STATIC ${generated})
  target_include_directories(${name} PUBLIC ${ARG_OUTPUT} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC pagurus_qapi)
endfunction()

# qapi_schema_test(name library prefix source...): random values of every type of the schema, and what else
# the sources test.
function(qapi_schema_test name library prefix)
  add_executable(${name} ${CMAKE_SOURCE_DIR}/src/schema/round_trip_test.cc
                 ${CMAKE_SOURCE_DIR}/src/schema/random_visitor.cc ${ARGN})
  target_link_libraries(${name} PRIVATE ${library} GTest::gmock_main)
  gtest_discover_tests(${name} TEST_PREFIX ${prefix} DISCOVERY_TIMEOUT 60)
endfunction()
