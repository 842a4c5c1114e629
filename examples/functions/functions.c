// Two of the functions in functions.rs, functions.cpp and functions.go; C has no records or errors that could be passed.
#include <stddef.h>

// The arithmetic mean; NaN of nothing.
double mean(const double *xs, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += xs[i];
  return sum / (double)count;
}

// The first letters of all words, in capitals; the first 255 of them.
const char *initials(const char *text) {
  static char found[256];
  size_t length = 0;
  int inside = 0;
  for (; *text && length < sizeof found - 1; text++) {
    int space = *text == ' ' || (*text >= '\t' && *text <= '\r');
    if (!space && !inside) found[length++] = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
    inside = !space;
  }
  found[length] = 0;
  return found;
}
