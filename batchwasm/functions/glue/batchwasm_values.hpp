// C++ values out of a function's arguments and into its answer, on top of batchwasm_codec.h.
//
// `bw_codec<T>` says what T is (`bw_say`), reads one over whatever was there (`bw_read`, which notes why it could not)
// and writes one (`bw_write`). This comes before the user's file, whose macros could change what it means; it includes
// only what the signature needs (BATCHWASM_WITH_...), lest a name of the user's meet one of std it never asked for. What
// the generated part behind the user's file names of it begins with bw_ for the same reason.
#pragma once
#pragma clang system_header

#if __cplusplus < 201703L
#error "batchwasm calls functions in C++17 or later; leave the older -std out of build.flags"
#endif

#include "batchwasm_codec.h"

#include <exception>
#include <new>
#include <type_traits>

#ifdef BATCHWASM_WITH_STRING
#include <string>
#endif
#ifdef BATCHWASM_WITH_STRING_VIEW
#include <string_view>
#endif
#ifdef BATCHWASM_WITH_VECTOR
#include <vector>
#endif
#ifdef BATCHWASM_WITH_SPAN
#if __cplusplus < 202002L
#error "std::span is C++20; leave the older -std out of build.flags"
#endif
#include <span>
#include <vector>
#endif
#ifdef BATCHWASM_WITH_OPTIONAL
#include <optional>
#endif
#ifdef BATCHWASM_WITH_PAIR
#include <utility>
#endif
#ifdef BATCHWASM_WITH_TUPLE
#include <tuple>
#include <utility>
#endif
#ifdef BATCHWASM_WITH_MAP
#include <map>
#include <string>
#endif
#ifdef BATCHWASM_WITH_UNORDERED_MAP
#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>
#endif

namespace batchwasm {

using size = batchwasm_size;

template <class T> using bw_plain = std::remove_cv_t<std::remove_reference_t<T>>;

template <class T, class = void> struct bw_codec;

template <class T> constexpr bool is_number = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
template <class T> constexpr bool is_byte = is_number<T> && std::is_unsigned_v<T> && sizeof(T) == 1;

// RFC 8746, little-endian.
template <class T>
constexpr int tag = 64 + (std::is_floating_point_v<T> ? 16 : std::is_signed_v<T> ? 8 : 0) + (sizeof(T) > 1 ? 4 : 0) +
                    (sizeof(T) == 8 ? 3 : sizeof(T) / 2) - (std::is_floating_point_v<T> ? 1 : 0);

template <class T> bool wrong(batchwasm_in *in) {
  batchwasm_say(in, "expected ");
  bw_codec<T>::bw_say(in);
  batchwasm_say_found(in);
  return false;
}

// An object that lives until the call ends.
template <class T> T &keep(batchwasm_in *in) {
  static_assert(alignof(T) <= 16);
  return *new (batchwasm_keep(in, sizeof(T), [](void *at) { static_cast<T *>(at)->~T(); })) T{};
}

template <class T> struct bw_codec<T, std::enable_if_t<is_number<T>>> {
  static void bw_say(batchwasm_in *in) { batchwasm_say(in, batchwasm_number_name(tag<T>)); }
  static bool bw_read(batchwasm_in *in, T &value) { return batchwasm_read_number(in, tag<T>, &value); }
  static void bw_write(batchwasm_out *out, T value) { batchwasm_write_number(out, tag<T>, &value); }
};

template <> struct bw_codec<bool> {
  static void bw_say(batchwasm_in *in) { batchwasm_say(in, "bool"); }
  static bool bw_read(batchwasm_in *in, bool &value) {
    unsigned char byte;
    if (!batchwasm_read_bool(in, &byte))
      return false;
    value = byte;
    return true;
  }
  static void bw_write(batchwasm_out *out, bool value) { batchwasm_write_bool(out, value); }
};

template <> struct bw_codec<const char *> {
  static void bw_say(batchwasm_in *in) { batchwasm_say(in, "string"); }
  static bool bw_read(batchwasm_in *in, const char *&value) { return batchwasm_read_c_text(in, &value); }
  static void bw_write(batchwasm_out *out, const char *value) { batchwasm_write_c_text(out, value); }
};

#ifdef BATCHWASM_WITH_STRING_VIEW
template <> struct bw_codec<std::string_view> {
  static void bw_say(batchwasm_in *in) { batchwasm_say(in, "string"); }
  static bool bw_read(batchwasm_in *in, std::string_view &value) {
    const char *at;
    size bytes;
    if (!batchwasm_read_text(in, &at, &bytes))
      return false;
    value = std::string_view(at, bytes);
    return true;
  }
};
#endif

#if defined BATCHWASM_WITH_STRING || defined BATCHWASM_WITH_MAP || defined BATCHWASM_WITH_UNORDERED_MAP
template <> struct bw_codec<std::string> {
  static void bw_say(batchwasm_in *in) { batchwasm_say(in, "string"); }
  static bool bw_read(batchwasm_in *in, std::string &value) {
    const char *at;
    size bytes;
    if (!batchwasm_read_text(in, &at, &bytes))
      return false;
    value.assign(at, bytes);
    return true;
  }
  static void bw_write(batchwasm_out *out, const std::string &value) {
    batchwasm_write_text(out, value.data(), value.size());
  }
};
#endif

template <class T> void say_list(batchwasm_in *in) {
  batchwasm_say(in, "list<");
  bw_codec<T>::bw_say(in);
  batchwasm_say(in, ">");
}

#if defined BATCHWASM_WITH_VECTOR || defined BATCHWASM_WITH_SPAN || defined BATCHWASM_WITH_UNORDERED_MAP
template <class T> struct bw_codec<std::vector<T>> {
  static void bw_say(batchwasm_in *in) { say_list<T>(in); }

  static bool bw_read(batchwasm_in *in, std::vector<T> &values) {
    if constexpr (is_byte<T>) {
      const unsigned char *at;
      size count;
      if (!batchwasm_read_bytes(in, &at, &count))
        return false;
      values.assign(at, at + count);
      return true;
    } else if constexpr (is_number<T>) {
      const void *at;
      size count;
      if (!batchwasm_read_packed(in, tag<T>, &at, &count))
        return read_items(in, values);
      // They may lie at any address: copied as bytes, which is all that becomes of this on WebAssembly.
      const T *first = static_cast<const T *>(at);
      values.assign(first, first + count);
      return true;
    } else {
      return read_items(in, values);
    }
  }

  static void bw_write(batchwasm_out *out, const std::vector<T> &values) {
    if constexpr (is_byte<T>) {
      batchwasm_write_bytes(out, values.data(), values.size());
    } else if constexpr (is_number<T>) {
      batchwasm_write_numbers(out, tag<T>, values.data(), values.size());
    } else {
      batchwasm_write_array(out, values.size());
      for (const T &value : values)
        bw_codec<T>::bw_write(out, value);
    }
  }

private:
  static bool read_items(batchwasm_in *in, std::vector<T> &values) {
    size count;
    if (!batchwasm_read_array(in, &count))
      return wrong<std::vector<T>>(in);
    values.clear();
    // An item may be much larger than the byte that it takes at least: the vector grows as they come.
    values.reserve(sizeof(T) <= 8 ? count : 0);
    for (size i = 0; i < count; i++) {
      T value{};
      if (!bw_codec<T>::bw_read(in, value)) {
        batchwasm_within_index(in, i);
        return false;
      }
      values.push_back(static_cast<T &&>(value));
    }
    return true;
  }
};
#endif

#ifdef BATCHWASM_WITH_SPAN
template <class T> struct bw_codec<std::span<const T>> {
  static void bw_say(batchwasm_in *in) { say_list<T>(in); }
  static bool bw_read(batchwasm_in *in, std::span<const T> &values) {
    const void *at;
    size count;
    if constexpr (is_byte<T>) {
      const unsigned char *bytes;
      if (!batchwasm_read_bytes(in, &bytes, &count))
        return false;
      at = bytes;
    } else if constexpr (is_number<T>) {
      if (!batchwasm_read_numbers(in, tag<T>, &at, &count))
        return false;
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!batchwasm_read_bools(in, &at, &count))
        return false;
    } else {
      auto &kept = keep<std::vector<T>>(in);
      if (!bw_codec<std::vector<T>>::bw_read(in, kept))
        return false;
      at = kept.data();
      count = kept.size();
    }
    values = std::span<const T>(static_cast<const T *>(at), count);
    return true;
  }
};
#endif

#ifdef BATCHWASM_WITH_OPTIONAL
template <class T> struct bw_codec<std::optional<T>> {
  static void bw_say(batchwasm_in *in) {
    batchwasm_say(in, "option<");
    bw_codec<T>::bw_say(in);
    batchwasm_say(in, ">");
  }
  static bool bw_read(batchwasm_in *in, std::optional<T> &value) {
    value.reset();
    return batchwasm_read_null(in) || bw_codec<T>::bw_read(in, value.emplace());
  }
  static void bw_write(batchwasm_out *out, const std::optional<T> &value) {
    if (value)
      bw_codec<T>::bw_write(out, *value);
    else
      batchwasm_write_null(out);
  }
};
#endif

#if defined BATCHWASM_WITH_PAIR || defined BATCHWASM_WITH_TUPLE
template <class... T> void say_tuple(batchwasm_in *in) {
  const char *before = "tuple<";
  ((batchwasm_say(in, before), bw_codec<T>::bw_say(in), before = ", "), ...);
  batchwasm_say(in, ">");
}

// `Whole` is what is said where the array has another length.
template <class Whole, class... T> bool read_tuple(batchwasm_in *in, T &...values) {
  size index = 0;
  if (!batchwasm_read_array_of(in, sizeof...(T)))
    return wrong<Whole>(in);
  const bool good = ((bw_codec<T>::bw_read(in, values) && ++index) && ...);
  if (!good)
    batchwasm_within_index(in, index);
  return good;
}

template <class... T> void write_tuple(batchwasm_out *out, const T &...values) {
  batchwasm_write_array(out, sizeof...(T));
  (bw_codec<T>::bw_write(out, values), ...);
}
#endif

#ifdef BATCHWASM_WITH_PAIR
template <class A, class B> struct bw_codec<std::pair<A, B>> {
  static void bw_say(batchwasm_in *in) { say_tuple<A, B>(in); }
  static bool bw_read(batchwasm_in *in, std::pair<A, B> &value) {
    return read_tuple<std::pair<A, B>>(in, value.first, value.second);
  }
  static void bw_write(batchwasm_out *out, const std::pair<A, B> &value) { write_tuple(out, value.first, value.second); }
};
#endif

#ifdef BATCHWASM_WITH_TUPLE
template <class... T> struct bw_codec<std::tuple<T...>> {
  static void bw_say(batchwasm_in *in) { say_tuple<T...>(in); }
  static bool bw_read(batchwasm_in *in, std::tuple<T...> &value) {
    return std::apply([in](T &...items) { return read_tuple<std::tuple<T...>>(in, items...); }, value);
  }
  static void bw_write(batchwasm_out *out, const std::tuple<T...> &value) {
    std::apply([out](const T &...items) { write_tuple(out, items...); }, value);
  }
};
#endif

#if defined BATCHWASM_WITH_MAP || defined BATCHWASM_WITH_UNORDERED_MAP
template <class Map> struct map_codec {
  using Value = typename Map::mapped_type;
  static void bw_say(batchwasm_in *in) {
    batchwasm_say(in, "map<");
    bw_codec<Value>::bw_say(in);
    batchwasm_say(in, ">");
  }
  static bool bw_read(batchwasm_in *in, Map &values) {
    size count;
    values.clear();
    if (!batchwasm_read_map(in, &count))
      return wrong<Map>(in);
    for (; count > 0; count--) {
      const char *at;
      size bytes;
      if (!batchwasm_read_text(in, &at, &bytes))
        return false;
      // Sorted as a rule, and then the end is the right place.
      auto &[key, value] = *values.try_emplace(values.end(), std::string(at, bytes));
      if (!bw_codec<Value>::bw_read(in, value)) {
        batchwasm_within_key(in, at, bytes);
        return false;
      }
    }
    return true;
  }
};
#endif

#ifdef BATCHWASM_WITH_MAP
template <class T> struct bw_codec<std::map<std::string, T>> : map_codec<std::map<std::string, T>> {
  static void bw_write(batchwasm_out *out, const std::map<std::string, T> &values) {
    batchwasm_write_map(out, values.size());
    for (const auto &[key, value] : values) {
      bw_codec<std::string>::bw_write(out, key);
      bw_codec<T>::bw_write(out, value);
    }
  }
};
#endif

#ifdef BATCHWASM_WITH_UNORDERED_MAP
template <class T>
struct bw_codec<std::unordered_map<std::string, T>> : map_codec<std::unordered_map<std::string, T>> {
  static void bw_write(batchwasm_out *out, const std::unordered_map<std::string, T> &values) {
    std::vector<const std::pair<const std::string, T> *> sorted;
    sorted.reserve(values.size());
    for (const auto &entry : values)
      sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(), [](auto *a, auto *b) { return a->first < b->first; });
    batchwasm_write_map(out, sorted.size());
    for (const auto *entry : sorted) {
      bw_codec<std::string>::bw_write(out, entry->first);
      bw_codec<T>::bw_write(out, entry->second);
    }
  }
};
#endif

// A struct: its generated codec has `bw_name`, its fields' `bw_names`, and `bw_field`, which reads that of an index.
template <class T> struct bw_record_codec {
  static void bw_say(batchwasm_in *in) { batchwasm_say(in, bw_codec<T>::bw_name); }

  static bool bw_read(batchwasm_in *in, T &value) {
    constexpr size fields = sizeof bw_codec<T>::bw_names / sizeof *bw_codec<T>::bw_names;
    bool seen[fields] = {};
    size count;
    if (!batchwasm_read_map(in, &count))
      return wrong<T>(in);
    for (; count > 0; count--) {
      const char *key;
      size bytes, index;
      if (!batchwasm_read_text(in, &key, &bytes))
        return false;
      if (!batchwasm_find(bw_codec<T>::bw_names, fields, key, bytes, &index))
        return unknown(in, key, bytes);
      if (!bw_codec<T>::bw_field(in, value, index)) {
        batchwasm_within_name(in, bw_codec<T>::bw_names[index]);
        return false;
      }
      seen[index] = true;
    }
    for (size i = 0; i < fields; i++)
      if (!seen[i])
        return missing(in, bw_codec<T>::bw_names[i]);
    return true;
  }

private:
  static bool unknown(batchwasm_in *in, const char *key, size bytes) {
    bw_say(in);
    batchwasm_say(in, " has no field ");
    batchwasm_say_text(in, key, bytes);
    return false;
  }
  static bool missing(batchwasm_in *in, const char *field) {
    bw_say(in);
    batchwasm_say(in, " lacks its field ");
    batchwasm_say(in, field);
    return false;
  }
};

// Generated: what batchwasm_run does.
static void bw_run(batchwasm_in *in, batchwasm_out *out);

} // namespace batchwasm

extern "C" void batchwasm_run(batchwasm_in *in, batchwasm_out *out) {
#ifdef __cpp_exceptions
  try {
    batchwasm::bw_run(in, out);
  } catch (const std::bad_alloc &) {
    std::terminate(); // no failure of the function's: a host that sees the end knows of the growth it refused
  } catch (const std::exception &error) {
    batchwasm_raise(out, error.what());
  } catch (...) {
    std::terminate(); // which says on stderr what it was
  }
#else
  batchwasm::bw_run(in, out);
#endif
}
