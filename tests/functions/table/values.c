/* C takes the whole table of types but gives only scalars and texts, so `same` writes the bytes of all it got in hex. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *end;

static void put(const void *from, size_t size) {
  for (size_t i = 0; i < size; i++) end += sprintf(end, "%02x", ((const unsigned char *)from)[i]);
  *end++ = ' ';
}

#define ONE(value) put(&value, sizeof value)
#define ALL(values, count) put(values, count * sizeof *values)

const char *same(bool flag, int8_t s8, short s16, int s32, long long s64, uint8_t u8, uint16_t u16, unsigned u32,
                 uint64_t u64, long word, size_t size, float f32, double f64, const char *text, const uint8_t *data,
                 size_t data_size, const bool *flags, size_t flags_size, const int8_t *s8s, size_t s8s_size,
                 const int16_t *s16s, size_t s16s_size, const int *s32s, size_t s32s_size, const int64_t *s64s,
                 size_t s64s_size, const uint16_t *u16s, size_t u16s_size, const uint32_t *u32s, size_t u32s_size,
                 const uint64_t *u64s, size_t u64s_size, const float *f32s, size_t f32s_size, const double *f64s,
                 size_t f64s_size) {
  size_t lists = data_size + flags_size + s8s_size + s16s_size + s32s_size + s64s_size + u16s_size + u32s_size +
                 u64s_size + f32s_size + f64s_size;
  char *all = malloc(1000 + 2 * strlen(text) + 16 * lists);
  if (all == NULL) abort();
  end = all;
  ONE(flag), ONE(s8), ONE(s16), ONE(s32), ONE(s64), ONE(u8), ONE(u16), ONE(u32), ONE(u64), ONE(word), ONE(size);
  ONE(f32), ONE(f64), put(text, strlen(text)), ALL(data, data_size), ALL(flags, flags_size), ALL(s8s, s8s_size);
  ALL(s16s, s16s_size), ALL(s32s, s32s_size), ALL(s64s, s64s_size), ALL(u16s, u16s_size), ALL(u32s, u32s_size);
  ALL(u64s, u64s_size), ALL(f32s, f32s_size), ALL(f64s, f64s_size);
  *end = 0;
  return all;
}

const char *views(const char *text) {
  printf("called with %s\n", text);
  return text;
}

uint64_t wide(uint64_t number) { return number; }

float narrow(float number) { return number; }
