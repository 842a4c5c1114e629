/* Statistics of the first n numbers of the minimal standard generator: x' = 16807 x mod (2^31 - 1). */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define M 2147483647u

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void row(const char *name, double value) { printf("%-10s %14.6f\n", name, value); }

int main(int argc, char **argv) {
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (n < 2) {
        fprintf(stderr, "usage: stats N (two numbers or more)\n");
        return 2;
    }
    uint32_t *series = malloc(n * sizeof *series);
    if (series == NULL) {
        fprintf(stderr, "no memory for %zu numbers\n", n);
        return 1;
    }

    uint32_t x = 1;
    double sum = 0, squares = 0, buckets[10] = {0}, inside = 0, previous = 0;
    for (size_t i = 0; i < n; i++) {
        x = (uint32_t)((uint64_t)x * 16807 % M);
        series[i] = x;
        double u = (double)x / M;
        sum += u;
        squares += u * u;
        buckets[(int)(u * 10)] += 1;
        if (i % 2 == 1 && previous * previous + u * u < 1) inside += 1;
        previous = u;
    }
    qsort(series, n, sizeof *series, by_value);

    double mean = sum / (double)n, expected = (double)n / 10, chi2 = 0;
    for (int i = 0; i < 10; i++) chi2 += (buckets[i] - expected) * (buckets[i] - expected) / expected;
    row("n", (double)n);
    row("last", (double)x);
    row("mean", mean);
    row("deviation", sqrt(squares / (double)n - mean * mean));
    row("median", (double)series[n / 2] / M);
    row("chi2", chi2);
    row("pi", 4 * inside / (double)(n / 2));
    return 0;
}
