// Three ordinary functions; the same in functions.rs and functions.go, and two of them in functions.c.
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

// The arithmetic mean; NaN of nothing.
double mean(std::span<const double> xs) {
  double sum = 0;
  for (double x : xs) sum += x;
  return sum / static_cast<double>(xs.size());
}

// The first letters of all words, in capitals.
std::string initials(std::string_view text) {
  std::string found;
  bool inside = false;
  for (char c : text) {
    bool space = c == ' ' || (c >= '\t' && c <= '\r');
    if (!space && !inside) found += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    inside = !space;
  }
  return found;
}

struct Ball {
  std::string name;
  double height;
  double speed;
};

// Where a ball is after some seconds of free fall, unless it has hit the ground.
Ball fall(Ball ball, double seconds) {
  ball.height += ball.speed * seconds - 0.5 * 9.81 * seconds * seconds;
  if (ball.height < 0) throw std::runtime_error(ball.name + " hit the ground");
  ball.speed -= 9.81 * seconds;
  return ball;
}
