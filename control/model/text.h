// Putting sentences together. Debian's abseil has a string_view of its own, so its helpers do not take std::string_view.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace outrigger::control {

namespace text_internal {
inline void Append(std::string* out, std::string_view piece) { out->append(piece); }
inline void Append(std::string* out, char piece) { out->push_back(piece); }
template <std::integral T>
void Append(std::string* out, T number) {
  out->append(std::to_string(number));
}
}  // namespace text_internal

template <typename... Pieces>
std::string Cat(const Pieces&... pieces) {
  std::string out;
  (text_internal::Append(&out, pieces), ...);
  return out;
}

inline std::string_view Strip(std::string_view s) {
  constexpr std::string_view kSpace = " \t\r\n";
  size_t begin = s.find_first_not_of(kSpace);
  if (begin == s.npos) return {};
  return s.substr(begin, s.find_last_not_of(kSpace) - begin + 1);
}

inline std::string Lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace outrigger::control
