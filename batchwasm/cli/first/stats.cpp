#include <vector>

// The arithmetic mean.
double mean(const std::vector<double> &xs) {
    double sum = 0;
    for (double x : xs) {
        sum += x;
    }
    return sum / xs.size();
}
