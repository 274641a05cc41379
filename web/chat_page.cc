#include "web/chat_page.h"

// By the assembler: a third of a megabyte as an array of numbers would take the compiler seconds and standard
// C++20 has no #embed.
asm(".pushsection .rodata\n"
    "gossamer_chat_page_begin: .incbin \"" GOSSAMER_CHAT_PAGE
    "\"\n"
    "gossamer_chat_page_end:\n"
    "gossamer_chat_page_gzip_begin: .incbin \"" GOSSAMER_CHAT_PAGE
    ".gz\"\n"
    "gossamer_chat_page_gzip_end:\n"
    ".popsection\n");

extern "C" {
extern const char gossamer_chat_page_begin[];
extern const char gossamer_chat_page_end[];
extern const char gossamer_chat_page_gzip_begin[];
extern const char gossamer_chat_page_gzip_end[];
}

namespace gossamer {

std::string_view chat_page() { return {gossamer_chat_page_begin, gossamer_chat_page_end}; }

std::string_view chat_page_gzip() { return {gossamer_chat_page_gzip_begin, gossamer_chat_page_gzip_end}; }

}  // namespace gossamer
