// The chat page that `gossamer serve` gives at /: one HTML file that asks nothing but the server's own API.
// Its sources lie in web/chat; web/build_page.cmake assembles them when the program is built.
#pragma once

#include <string_view>

namespace gossamer {

std::string_view chat_page();       // text/html; charset=utf-8
std::string_view chat_page_gzip();  // the same, for a client that accepts Content-Encoding: gzip

}  // namespace gossamer
