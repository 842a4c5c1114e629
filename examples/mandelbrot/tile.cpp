// One tile of the Mandelbrot set: x from -2 to 0.5, y from -1.25 to 1.25. Writes one byte a pixel into tile.bin, 0 where
// the point is in the set; prints how many are.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <vector>

static int iterations_to_escape(double cx, double cy, int limit) {
    double x = 0, y = 0;
    for (int i = 1; i <= limit; ++i) {
        const double x2 = x * x, y2 = y * y;
        if (x2 + y2 > 4) return i;
        y = 2 * x * y + cy;
        x = x2 - y2 + cx;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        std::cerr << "usage: tile ROW COLUMN TILES PIXELS ITERATIONS\n";
        return 2;
    }
    const int row = std::atoi(argv[1]), column = std::atoi(argv[2]), tiles = std::atoi(argv[3]);
    const int pixels = std::atoi(argv[4]), limit = std::atoi(argv[5]);
    const double step = 2.5 / (tiles * pixels);

    std::vector<std::uint8_t> tile;
    long inside = 0;
    for (int i = 0; i < pixels; ++i) {
        for (int j = 0; j < pixels; ++j) {
            const double x = -2.0 + (column * pixels + j + 0.5) * step, y = 1.25 - (row * pixels + i + 0.5) * step;
            const int n = iterations_to_escape(x, y, limit);
            inside += n == 0;
            tile.push_back(static_cast<std::uint8_t>(n == 0 ? 0 : 1 + (n - 1) % 255));
        }
    }
    std::FILE *file = std::fopen("tile.bin", "wb");
    if (file == nullptr || std::fwrite(tile.data(), 1, tile.size(), file) != tile.size() || std::fclose(file) != 0) {
        std::perror("tile.bin");
        return 1;
    }
    std::cout << inside << '\n';
}
