# What the chat page is made of, in order: the scripts share one scope, so that what a file uses as it is read stands before
# it. Read by CMakeLists.txt (dependencies) and build_page.cmake.
set(kStyles base layout messages)
set(kScripts dom events api conversation store markdown generation answer_view conversation_view sidebar settings_panel
    composer transfer main)

# Of highlight.js's 185 languages: the whole would be four fifths of the page.
set(kLanguages
    armasm awk bash clojure cmake cpp cs css dart diff dockerfile elixir erlang fortran go groovy haskell http ini java
    javascript json julia kotlin less lisp llvm lua makefile markdown matlab nginx objectivec ocaml perl php powershell
    properties protobuf python r ruby rust scala scheme scss shell sql swift tex typescript verilog vim x86asm xml yaml)
