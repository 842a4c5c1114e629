// Statistics of the first n numbers of the minimal standard generator: x' = 16807 x mod (2^31 - 1).
package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
)

const m = 2147483647

func row(name string, value float64) { fmt.Printf("%-10s %14.6f\n", name, value) }

func main() {
	n := 0
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	if n < 2 {
		fmt.Fprintln(os.Stderr, "usage: stats N (two numbers or more)")
		os.Exit(2)
	}

	series := make([]uint32, n)
	x := uint64(1)
	var sum, squares, inside, previous float64
	var buckets [10]float64
	for i := range series {
		x = x * 16807 % m
		series[i] = uint32(x)
		u := float64(x) / m
		sum += u
		squares += u * u
		buckets[int(u*10)]++
		if i%2 == 1 && previous*previous+u*u < 1 {
			inside++
		}
		previous = u
	}
	slices.Sort(series)

	mean, expected, chi2 := sum/float64(n), float64(n)/10, 0.0
	for _, found := range buckets {
		chi2 += (found - expected) * (found - expected) / expected
	}
	row("n", float64(n))
	row("last", float64(x))
	row("mean", mean)
	row("deviation", math.Sqrt(squares/float64(n)-mean*mean))
	row("median", float64(series[n/2])/m)
	row("chi2", chi2)
	row("pi", 4*inside/float64(n/2))
}
