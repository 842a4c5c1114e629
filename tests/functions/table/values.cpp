// The whole table of types, there and back: `same` in one record, `views` what can only be taken in.
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

struct Inner {
  std::string name;
  std::optional<std::vector<std::string>> marks;
};

struct All {
  bool flag;
  std::int8_t s8;
  short s16;
  int s32;
  long long s64;
  std::uint8_t u8;
  std::uint16_t u16;
  unsigned u32;
  std::uint64_t u64;
  long word;
  std::size_t size;
  float f32;
  double f64;
  std::string text;
  std::vector<std::uint8_t> data;
  std::vector<bool> flags;
  std::vector<signed char> s8s;
  std::vector<std::int16_t> s16s;
  std::vector<int> s32s;
  std::vector<std::int64_t> s64s;
  std::vector<unsigned short> u16s;
  std::vector<std::uint32_t> u32s;
  std::vector<unsigned long long> u64s;
  std::vector<float> f32s;
  std::vector<double> f64s;
  std::vector<std::string> texts;
  std::vector<std::vector<double>> rows;
  std::optional<std::int64_t> maybe;
  std::optional<std::vector<std::uint8_t>> maybe_data;
  std::optional<std::vector<std::optional<double>>> gaps;
  std::tuple<int, std::string, std::pair<bool, std::vector<std::uint16_t>>> pair;
  std::unordered_map<std::string, std::vector<float>> by_name;
  std::map<std::string, std::map<std::string, std::optional<bool>>> deep;
  Inner inner;
  std::vector<Inner> inners;
  std::map<std::string, Inner> inners_by_name;
};

All same(All all) { return all; }

std::tuple<std::string, std::vector<std::uint8_t>, std::vector<double>> views(
    std::string_view text, std::span<const std::uint8_t> data, std::span<const double> numbers, bool fail) {
  std::cout << "called with " << text << std::endl;
  if (fail) throw std::runtime_error(std::string(text));
  return {std::string(text), {data.begin(), data.end()}, {numbers.begin(), numbers.end()}};
}
