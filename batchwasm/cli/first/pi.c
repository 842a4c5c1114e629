// An estimate of pi from the first n terms of 4/1 - 4/3 + 4/5 - ...
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: pi TERMS\n");
        return 2;
    }
    long n = atol(argv[1]);
    double sum = 0;
    for (long k = n - 1; k >= 0; k--) {
        double term = 4.0 / (2 * k + 1);
        sum += k % 2 == 0 ? term : -term;
    }
    printf("%ld terms: %.12f\n", n, sum);
    return 0;
}
