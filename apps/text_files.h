// Whole text files in and out, as several commands read and write them.
#pragma once

#include <string>

namespace gossamer::apps {

// The bytes of a file, or of standard input for "-". Throws Error naming `option` and the file.
std::string read_text_file(const std::string& option, const std::string& path);

// Throws Error naming the file when its folder is not there or cannot be written to: before hours of
// computing, not after. An empty path is none.
void check_output_path(const std::string& path);

// Throws Error naming the file.
void write_text_file(const std::string& path, const std::string& text);

}  // namespace gossamer::apps
