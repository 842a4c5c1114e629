// Statistics of the first n numbers of the minimal standard generator: x' = 16807 x mod (2^31 - 1).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <random>
#include <string_view>
#include <vector>

static void row(std::string_view name, double value) {
    std::cout << std::left << std::setw(10) << name << ' ' << std::right << std::setw(14) << value << '\n';
}

int main(int argc, char **argv) {
    const std::size_t n = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 0;
    if (n < 2) {
        std::cerr << "usage: stats N (two numbers or more)\n";
        return 2;
    }
    std::minstd_rand0 generator{1};
    constexpr double m = std::minstd_rand0::modulus;
    std::vector<std::uint32_t> series(n);
    std::generate(series.begin(), series.end(), [&] { return static_cast<std::uint32_t>(generator()); });
    const double last = series.back();

    double sum = 0, squares = 0, inside = 0, previous = 0;
    std::array<double, 10> buckets{};
    for (std::size_t i = 0; i < n; ++i) {
        const double u = series[i] / m;
        sum += u;
        squares += u * u;
        buckets[static_cast<std::size_t>(u * 10)] += 1;
        if (i % 2 == 1 && previous * previous + u * u < 1) inside += 1;
        previous = u;
    }
    std::nth_element(series.begin(), series.begin() + static_cast<std::ptrdiff_t>(n / 2), series.end());

    const double mean = sum / static_cast<double>(n), expected = static_cast<double>(n) / 10;
    double chi2 = 0;
    for (const double found : buckets) chi2 += (found - expected) * (found - expected) / expected;
    std::cout << std::fixed << std::setprecision(6);
    row("n", static_cast<double>(n));
    row("last", last);
    row("mean", mean);
    row("deviation", std::sqrt(squares / static_cast<double>(n) - mean * mean));
    row("median", series[n / 2] / m);
    row("chi2", chi2);
    row("pi", 4 * inside / static_cast<double>(n / 2));
}
