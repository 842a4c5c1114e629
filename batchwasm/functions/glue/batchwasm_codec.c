// The exports of a C or C++ function's module, and the CBOR of its arguments and answer (docs/abi.md).
//
// It is compiled by itself, as C or as C++, so nothing in the user's file can change what it means. What the host sends
// is not trusted: every size is checked against what is there, and memory is taken for no more than that.
#include "batchwasm_codec.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE };
enum { FALSE = 20, TRUE = 21, NULL_ = 22, UNDEFINED = 23, F16 = 25, F32 = 26, F64 = 27 };
enum { U8 = 64, TAG_F32 = 85, TAG_F64 = 86, TAG_ERROR = 25207 };
enum { SHOWN_BYTES = 40 }; // of a text in a message

typedef struct kept {
  struct kept *next;
  void (*destroy)(void *);
} kept;

struct batchwasm_in {
  const unsigned char *at, *end;
  char *why; // null as long as all fits
  size_t why_size, why_room;
  int has_path;
  kept *last;
};

struct batchwasm_out {
  unsigned char *data;
  size_t size, room;
  const char *wrong; // with what was written; null where it can be sent
};

// Out of memory: the host has seen the growth that it refused.
static void *sure(void *block) {
  if (block == NULL)
    abort();
  return block;
}

void *batchwasm_keep(batchwasm_in *in, size_t size, void (*destroy)(void *)) {
  size_t head = (sizeof(kept) + 15) / 16 * 16; // what follows is aligned as malloc's own blocks are
  if (size > PTRDIFF_MAX - head)
    abort();
  kept *block = (kept *)sure(malloc(head + size));
  block->next = in->last;
  block->destroy = destroy;
  in->last = block;
  return (char *)block + head;
}

static void let_go(batchwasm_in *in) {
  size_t head = (sizeof(kept) + 15) / 16 * 16;
  while (in->last != NULL) {
    kept *block = in->last;
    in->last = block->next;
    if (block->destroy != NULL)
      block->destroy((char *)block + head);
    free(block);
  }
}

// --- why an item does not fit

static void insert(batchwasm_in *in, size_t where, const char *at, size_t size) {
  if (in->why_size + size > in->why_room) {
    in->why_room = 2 * (in->why_size + size) + 64;
    in->why = (char *)sure(realloc(in->why, in->why_room));
  }
  memmove(in->why + where + size, in->why + where, in->why_size - where);
  memcpy(in->why + where, at, size);
  in->why_size += size;
}

void batchwasm_say(batchwasm_in *in, const char *text) { insert(in, in->why_size, text, strlen(text)); }

// How much of a text is shown: whole characters.
static size_t shown(const char *at, size_t size) {
  if (size <= SHOWN_BYTES)
    return size;
  size = SHOWN_BYTES;
  while (size > 0 && ((unsigned char)at[size] & 0xC0) == 0x80)
    size--;
  return size;
}

void batchwasm_say_text(batchwasm_in *in, const char *at, size_t size) {
  batchwasm_say(in, "\"");
  insert(in, in->why_size, at, shown(at, size));
  batchwasm_say(in, shown(at, size) < size ? "...\"" : "\"");
}

// Where they start in `digits`, which they fill to its end.
static size_t digits_of(uint64_t value, char digits[20]) {
  size_t at = 20;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  return at;
}

static void say_number(batchwasm_in *in, uint64_t value) {
  char digits[20];
  size_t at = digits_of(value, digits);
  insert(in, in->why_size, digits + at, sizeof digits - at);
}

static void lead(batchwasm_in *in, const char *at, size_t size) {
  if (!in->has_path)
    insert(in, 0, ": ", 2);
  in->has_path = 1;
  insert(in, 0, at, size);
}

void batchwasm_within_name(batchwasm_in *in, const char *name) {
  if (in->has_path && in->why[0] != '[')
    insert(in, 0, ".", 1);
  lead(in, name, strlen(name));
}

// Between brackets a name is put that may come before another.
static void within(batchwasm_in *in, const char *open, const char *at, size_t size, const char *close) {
  if (in->has_path && in->why[0] != '[')
    insert(in, 0, ".", 1);
  lead(in, close, strlen(close));
  insert(in, 0, at, size);
  insert(in, 0, open, strlen(open));
}

void batchwasm_within_index(batchwasm_in *in, size_t index) {
  char digits[20];
  size_t at = digits_of(index, digits);
  within(in, "[", digits + at, sizeof digits - at, "]");
}

void batchwasm_within_key(batchwasm_in *in, const char *at, size_t size) {
  within(in, "[\"", at, shown(at, size), shown(at, size) < size ? "...\"]" : "\"]");
}

// --- items

typedef struct {
  int major, info;
  uint64_t value; // of a float: its bits
  const unsigned char *after;
} head;

// The head of the next item, which stays where it is. 0 where there is none, or one that this ABI has not.
static int look(const unsigned char *at, const unsigned char *end, head *item) {
  if (at == end)
    return 0;
  item->major = *at >> 5;
  item->info = *at & 31;
  item->value = (uint64_t)item->info;
  item->after = at + 1;
  if (item->info < 24)
    return 1;
  if (item->info > 27)
    return 0;
  size_t width = (size_t)1 << (item->info - 24);
  if ((size_t)(end - item->after) < width)
    return 0;
  item->value = 0;
  for (size_t i = 0; i < width; i++)
    item->value = item->value << 8 | *item->after++;
  return 1;
}

// Whether what the head announces can be in what follows it.
static int is_whole(const head *item, const unsigned char *end) {
  uint64_t left = (uint64_t)(end - item->after);
  switch (item->major) {
  case BYTES:
  case TEXT:
  case ARRAY:
    return item->value <= left;
  case MAP:
    return item->value <= left / 2;
  default:
    return 1;
  }
}

static int look_for(const batchwasm_in *in, int major, head *item) {
  return look(in->at, in->end, item) && item->major == major && is_whole(item, in->end);
}

static int is_float(int tag) { return tag >> 4 & 1; }
static int is_signed(int tag) { return tag >> 3 & 1; }
static size_t width_of(int tag) { return (size_t)1 << ((tag & 3) + is_float(tag)); }

const char *batchwasm_number_name(int tag) {
  static const char *const names[3][4] = {
      {"u8", "u16", "u32", "u64"}, {"s8", "s16", "s32", "s64"}, {"f16", "f32", "f64", "f128"}};
  return names[is_float(tag) ? 2 : is_signed(tag)][tag & 3];
}

static void say_tagged(batchwasm_in *in, const head *item) {
  int tag = (int)item->value;
  head inner;
  if (item->value < 64 || item->value > 87 || item->value == 76) {
    batchwasm_say(in, "tag ");
    say_number(in, item->value);
    return;
  }
  batchwasm_say(in, "a typed array of ");
  if (width_of(tag) > 1 && !(tag >> 2 & 1))
    batchwasm_say(in, "big-endian ");
  batchwasm_say(in, batchwasm_number_name(tag));
  if (!look(item->after, in->end, &inner) || inner.major != BYTES || !is_whole(&inner, in->end) ||
      inner.value % width_of(tag) != 0)
    batchwasm_say(in, " that is damaged");
}

static void say_simple(batchwasm_in *in, const head *item) {
  switch (item->info) {
  case FALSE:
  case TRUE:
    batchwasm_say(in, "a boolean");
    return;
  case NULL_:
    batchwasm_say(in, "null");
    return;
  case UNDEFINED:
    batchwasm_say(in, "undefined");
    return;
  case F16:
  case F32:
  case F64:
    batchwasm_say(in, "a float");
    return;
  default:
    batchwasm_say(in, "a simple value");
  }
}

static void say_integer(batchwasm_in *in, const head *item) {
  batchwasm_say(in, "the integer ");
  if (item->major == UNSIGNED) {
    say_number(in, item->value);
  } else if (item->value == UINT64_MAX) {
    batchwasm_say(in, "-18446744073709551616");
  } else {
    batchwasm_say(in, "-");
    say_number(in, item->value + 1);
  }
}

void batchwasm_say_found(batchwasm_in *in) {
  static const char *const sized[] = {"", "", "a byte string", "a text string", "an array of ", "a map of "};
  head item;
  batchwasm_say(in, ", found ");
  if (in->at == in->end) {
    batchwasm_say(in, "nothing more");
  } else if (!look(in->at, in->end, &item)) {
    batchwasm_say(in, item.info == 31 ? "an item of indefinite length" : "a damaged item");
  } else if (item.major <= NEGATIVE) {
    say_integer(in, &item);
  } else if (item.major == TAG) {
    say_tagged(in, &item);
  } else if (item.major == SIMPLE) {
    say_simple(in, &item);
  } else {
    batchwasm_say(in, sized[item.major]);
    if (item.major >= ARRAY)
      say_number(in, item.value);
    if (!is_whole(&item, in->end))
      batchwasm_say(in, " that is cut short");
  }
}

static int expected(batchwasm_in *in, const char *what) {
  batchwasm_say(in, "expected ");
  batchwasm_say(in, what);
  batchwasm_say_found(in);
  return 0;
}

static int expected_list(batchwasm_in *in, const char *item) {
  batchwasm_say(in, "expected list<");
  batchwasm_say(in, item);
  batchwasm_say(in, ">");
  batchwasm_say_found(in);
  return 0;
}

int batchwasm_read_null(batchwasm_in *in) {
  head item;
  if (!look_for(in, SIMPLE, &item) || item.info != NULL_)
    return 0;
  in->at = item.after;
  return 1;
}

static int sized(batchwasm_in *in, int major, size_t *count) {
  head item;
  if (!look_for(in, major, &item))
    return 0;
  in->at = item.after;
  *count = (size_t)item.value;
  return 1;
}

int batchwasm_read_array(batchwasm_in *in, size_t *count) { return sized(in, ARRAY, count); }
int batchwasm_read_map(batchwasm_in *in, size_t *count) { return sized(in, MAP, count); }

int batchwasm_read_array_of(batchwasm_in *in, size_t count) {
  head item;
  if (!look_for(in, ARRAY, &item) || item.value != count)
    return 0;
  in->at = item.after;
  return 1;
}

int batchwasm_read_arguments(batchwasm_in *in, size_t count) {
  if (batchwasm_read_array_of(in, count))
    return 1;
  batchwasm_say(in, "expected ");
  say_number(in, count);
  batchwasm_say(in, count == 1 ? " argument" : " arguments");
  batchwasm_say_found(in);
  return 0;
}

int batchwasm_read_end(batchwasm_in *in) {
  if (in->at == in->end)
    return 1;
  batchwasm_say(in, "there are ");
  say_number(in, (uint64_t)(in->end - in->at));
  batchwasm_say(in, " bytes after the arguments");
  return 0;
}

int batchwasm_read_bool(batchwasm_in *in, unsigned char *to) {
  head item;
  if (!look_for(in, SIMPLE, &item) || (item.info != FALSE && item.info != TRUE))
    return expected(in, "bool");
  in->at = item.after;
  *to = item.info == TRUE;
  return 1;
}

static double of_half(uint64_t bits) {
  uint64_t mantissa = bits & 0x3FF, exponent = bits >> 10 & 31, sign = bits >> 15 << 63, wide;
  double value;
  if (exponent == 0) {
    value = (double)mantissa / 16777216;
    return sign ? -value : value;
  }
  wide = sign | (exponent == 31 ? 0x7FF : exponent + 1008) << 52 | mantissa << 42;
  memcpy(&value, &wide, sizeof value);
  return value;
}

static int read_float(const head *item, double *to) {
  if (item->major == UNSIGNED) {
    *to = (double)item->value;
  } else if (item->major == NEGATIVE) {
    *to = item->value == UINT64_MAX ? -18446744073709551616.0 : -(double)(item->value + 1);
  } else if (item->major != SIMPLE) {
    return 0;
  } else if (item->info == F16) {
    *to = of_half(item->value);
  } else if (item->info == F32) {
    uint32_t bits = (uint32_t)item->value;
    float narrow;
    memcpy(&narrow, &bits, sizeof narrow);
    *to = narrow;
  } else if (item->info == F64) {
    memcpy(to, &item->value, sizeof *to);
  } else {
    return 0;
  }
  return 1;
}

int batchwasm_read_number(batchwasm_in *in, int tag, void *to) {
  head item;
  if (!look(in->at, in->end, &item))
    return expected(in, batchwasm_number_name(tag));
  if (is_float(tag)) {
    double wide;
    float narrow;
    if (!read_float(&item, &wide))
      return expected(in, batchwasm_number_name(tag));
    narrow = (float)wide;
    if (item.major == SIMPLE && item.info == (tag == TAG_F32 ? F32 : F64))
      memcpy(to, &item.value, width_of(tag)); // bit by bit, also a NaN
    else
      memcpy(to, tag == TAG_F32 ? (void *)&narrow : (void *)&wide, width_of(tag));
  } else {
    uint64_t most = UINT64_MAX >> (64 - 8 * width_of(tag)) >> is_signed(tag), bits = item.value;
    if (item.major > NEGATIVE || item.value > most || (item.major == NEGATIVE && !is_signed(tag)))
      return expected(in, batchwasm_number_name(tag));
    bits = item.major == NEGATIVE ? ~item.value : item.value;
    memcpy(to, &bits, width_of(tag));
  }
  in->at = item.after;
  return 1;
}

// How many of the bytes are whole characters of UTF-8, as RFC 3629 has them.
static size_t valid_text(const unsigned char *at, size_t size) {
  size_t i = 0;
  while (i < size) {
    uint64_t eight;
    if (size - i >= sizeof eight) {
      memcpy(&eight, at + i, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    unsigned first = at[i], second = i + 1 < size ? at[i + 1] : 0;
    size_t more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    unsigned least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || more >= size - i)
      return i;
    if (more > 0 && (second < least || second > most))
      return i;
    for (size_t k = 2; k <= more; k++)
      if ((at[i + k] & 0xC0) != 0x80)
        return i;
    i += more + 1;
  }
  return i;
}

int batchwasm_read_text(batchwasm_in *in, const char **at, size_t *size) {
  head item;
  if (!look_for(in, TEXT, &item))
    return expected(in, "string");
  *at = (const char *)item.after;
  *size = (size_t)item.value;
  if (valid_text(item.after, *size) < *size) {
    batchwasm_say(in, "expected string, found a text string that is not UTF-8");
    return 0;
  }
  in->at = item.after + *size;
  return 1;
}

int batchwasm_read_c_text(batchwasm_in *in, const char **at) {
  size_t size;
  if (!batchwasm_read_text(in, at, &size))
    return 0;
  if (memchr(*at, 0, size) != NULL) {
    batchwasm_say(in, "the text has a NUL character in it, and a const char * ends there");
    return 0;
  }
  char *copy = (char *)batchwasm_keep(in, size + 1, NULL);
  memcpy(copy, *at, size);
  copy[size] = 0;
  *at = copy;
  return 1;
}

int batchwasm_read_packed(batchwasm_in *in, int tag, const void **at, size_t *count) {
  head outer, inner;
  if (!look_for(in, TAG, &outer) || outer.value != (uint64_t)tag || !look(outer.after, in->end, &inner))
    return 0;
  if (inner.major != BYTES || !is_whole(&inner, in->end) || inner.value % width_of(tag) != 0)
    return 0;
  *at = inner.after;
  *count = (size_t)inner.value / width_of(tag);
  in->at = inner.after + inner.value;
  return 1;
}

// The items of an array, one by one, into memory that is kept.
static int read_items(batchwasm_in *in, int tag, const void **at, size_t count) {
  unsigned char *to = (unsigned char *)batchwasm_keep(in, count * width_of(tag), NULL);
  *at = to;
  for (size_t i = 0; i < count; i++, to += width_of(tag))
    if (!batchwasm_read_number(in, tag, to)) {
      batchwasm_within_index(in, i);
      return 0;
    }
  return 1;
}

int batchwasm_read_numbers(batchwasm_in *in, int tag, const void **at, size_t *count) {
  if (batchwasm_read_array(in, count))
    return read_items(in, tag, at, *count);
  if (!batchwasm_read_packed(in, tag, at, count))
    return expected_list(in, batchwasm_number_name(tag));
  if ((uintptr_t)*at % width_of(tag) != 0) {
    void *aligned = batchwasm_keep(in, *count * width_of(tag), NULL);
    memcpy(aligned, *at, *count * width_of(tag));
    *at = aligned;
  }
  return 1;
}

int batchwasm_read_bytes(batchwasm_in *in, const unsigned char **at, size_t *size) {
  head item;
  const void *items;
  if (look_for(in, BYTES, &item)) {
    *at = item.after;
    *size = (size_t)item.value;
    in->at = item.after + *size;
    return 1;
  }
  if (!batchwasm_read_numbers(in, U8, &items, size))
    return 0;
  *at = (const unsigned char *)items;
  return 1;
}

int batchwasm_read_bools(batchwasm_in *in, const void **at, size_t *count) {
  if (!batchwasm_read_array(in, count))
    return expected_list(in, "bool");
  unsigned char *to = (unsigned char *)batchwasm_keep(in, *count, NULL);
  *at = to;
  for (size_t i = 0; i < *count; i++)
    if (!batchwasm_read_bool(in, to + i)) {
      batchwasm_within_index(in, i);
      return 0;
    }
  return 1;
}

int batchwasm_find(const char *const *names, size_t count, const char *at, size_t size, size_t *index) {
  for (*index = 0; *index < count; ++*index)
    if (strlen(names[*index]) == size && memcmp(names[*index], at, size) == 0)
      return 1;
  return 0;
}

// --- the answer

static unsigned char *room_for(batchwasm_out *out, size_t size) {
  if (size > PTRDIFF_MAX || out->size > PTRDIFF_MAX - size)
    abort();
  size_t needed = out->size + size;
  if (needed > out->room) {
    // A large answer is one list most of the time: it gets what it needs, not twice that.
    out->room = needed > 65536 ? needed + needed / 4 : 2 * needed + 64;
    out->data = (unsigned char *)sure(realloc(out->data, out->room));
  }
  unsigned char *to = out->data + out->size;
  out->size = needed;
  return to;
}

static void append(batchwasm_out *out, const void *at, size_t size) {
  if (size > 0)
    memcpy(room_for(out, size), at, size);
}

static void write_wide(batchwasm_out *out, unsigned first, uint64_t value, size_t width) {
  unsigned char *to = room_for(out, 1 + width);
  *to++ = (unsigned char)first;
  for (size_t i = width; i-- > 0;)
    *to++ = (unsigned char)(value >> 8 * i);
}

static void write_head(batchwasm_out *out, unsigned major, uint64_t value) {
  unsigned first = major << 5;
  if (value < 24)
    write_wide(out, first | (unsigned)value, 0, 0);
  else if (value <= UINT8_MAX)
    write_wide(out, first | 24, value, 1);
  else if (value <= UINT16_MAX)
    write_wide(out, first | 25, value, 2);
  else if (value <= UINT32_MAX)
    write_wide(out, first | 26, value, 4);
  else
    write_wide(out, first | 27, value, 8);
}

void batchwasm_write_null(batchwasm_out *out) { write_head(out, SIMPLE, NULL_); }
void batchwasm_write_bool(batchwasm_out *out, int value) { write_head(out, SIMPLE, value ? TRUE : FALSE); }
void batchwasm_write_array(batchwasm_out *out, size_t count) { write_head(out, ARRAY, count); }
void batchwasm_write_map(batchwasm_out *out, size_t count) { write_head(out, MAP, count); }

void batchwasm_write_number(batchwasm_out *out, int tag, const void *from) {
  uint64_t bits = 0;
  size_t width = width_of(tag);
  memcpy(&bits, from, width);
  if (is_float(tag)) {
    write_wide(out, SIMPLE << 5 | (tag == TAG_F32 ? F32 : F64), bits, width);
  } else if (is_signed(tag) && bits >> (8 * width - 1) & 1) {
    write_head(out, NEGATIVE, ~bits & UINT64_MAX >> (64 - 8 * width));
  } else {
    write_head(out, UNSIGNED, bits);
  }
}

void batchwasm_write_text(batchwasm_out *out, const char *at, size_t size) {
  if (valid_text((const unsigned char *)at, size) < size)
    out->wrong = "the result has a text that is not UTF-8; bytes are a list of uint8_t";
  write_head(out, TEXT, size);
  append(out, at, size);
}

void batchwasm_write_c_text(batchwasm_out *out, const char *text) {
  if (text == NULL)
    out->wrong = "the result has a null pointer where a text is expected";
  else
    batchwasm_write_text(out, text, strlen(text));
}

void batchwasm_write_bytes(batchwasm_out *out, const void *at, size_t size) {
  write_head(out, BYTES, size);
  append(out, at, size);
}

void batchwasm_write_numbers(batchwasm_out *out, int tag, const void *at, size_t count) {
  write_head(out, TAG, (uint64_t)tag);
  batchwasm_write_bytes(out, at, count * width_of(tag));
}

static void write_error(batchwasm_out *out, const char *kind) {
  out->size = 0;
  out->wrong = NULL;
  write_head(out, TAG, TAG_ERROR);
  batchwasm_write_array(out, 2);
  batchwasm_write_text(out, kind, strlen(kind));
}

// A text that somebody else made: bytes that are not UTF-8 become U+FFFD.
void batchwasm_raise(batchwasm_out *out, const char *text) {
  const unsigned char *at = (const unsigned char *)(text == NULL ? "" : text);
  size_t size = strlen((const char *)at), good, bad = 0;
  for (size_t i = 0; i < size; i += good + 1, bad++) {
    good = valid_text(at + i, size - i);
    if (i + good == size)
      break;
  }
  write_error(out, "raised");
  write_head(out, TEXT, size + 2 * bad);
  for (; (good = valid_text(at, size)) < size; at += good + 1, size -= good + 1) {
    append(out, at, good);
    append(out, "\xEF\xBF\xBD", 3);
  }
  append(out, at, size);
}

// --- the exports

static unsigned char *arguments;
static size_t arguments_room;
static batchwasm_out answer;

#ifdef __cplusplus
extern "C" {
#endif

__attribute__((export_name("bw_alloc"))) void *batchwasm_alloc(size_t size) {
  if (arguments != NULL && size <= arguments_room)
    return arguments;
  free(arguments);
  arguments_room = size;
  // zig 0.17's malloc gives a block that is far too small for sizes near 4 GiB.
  arguments = size > PTRDIFF_MAX ? NULL : (unsigned char *)malloc(size > 0 ? size : 1);
  return arguments;
}

__attribute__((export_name("bw_call"))) uint64_t batchwasm_call(const unsigned char *at, size_t size) {
  batchwasm_in in;
  memset(&in, 0, sizeof in);
  in.at = at;
  in.end = at + size;
  answer.size = 0;
  answer.wrong = NULL;
  batchwasm_run(&in, &answer);
  if (in.why != NULL) {
    write_error(&answer, "argument");
    batchwasm_write_text(&answer, in.why, in.why_size);
    free(in.why);
  } else if (answer.wrong != NULL) {
    batchwasm_raise(&answer, answer.wrong);
  }
  let_go(&in);
  fflush(NULL); // a reactor never ends, and what the function printed is wanted now
  return (uint64_t)(uintptr_t)answer.data << 32 | answer.size;
}

#ifdef __cplusplus
}
#endif
