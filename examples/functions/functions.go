// Three ordinary functions; the same in functions.rs and functions.cpp, and two of them in functions.c.
package functions

import (
	"fmt"
	"strings"
)

// The arithmetic mean; NaN of nothing.
func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// The first letters of all words, in capitals.
func initials(text string) string {
	found := ""
	for _, word := range strings.Fields(text) {
		found += strings.ToUpper(string([]rune(word)[:1]))
	}
	return found
}

type Ball struct {
	Name   string
	Height float64
	Speed  float64
}

// Where a ball is after some seconds of free fall, unless it has hit the ground.
func fall(ball Ball, seconds float64) (Ball, error) {
	ball.Height += ball.Speed*seconds - float64(0.5*9.81*seconds*seconds)
	if ball.Height < 0 {
		return ball, fmt.Errorf("%s hit the ground", ball.Name)
	}
	ball.Speed -= 9.81 * seconds
	return ball, nil
}
