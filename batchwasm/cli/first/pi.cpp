// An estimate of pi from the first n terms of 4/1 - 4/3 + 4/5 - ...
#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char **argv) {
    const std::vector<const char *> args(argv + 1, argv + argc);
    if (args.size() != 1) {
        std::fprintf(stderr, "usage: pi TERMS\n");
        return 2;
    }
    const long n = std::atol(args[0]);
    double sum = 0;
    for (long k = n - 1; k >= 0; k--) {
        const double term = 4.0 / (2 * k + 1);
        sum += k % 2 == 0 ? term : -term;
    }
    std::printf("%ld terms: %.12f\n", n, sum);
}
