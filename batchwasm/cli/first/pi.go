// An estimate of pi from the first n terms of 4/1 - 4/3 + 4/5 - ...
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pi TERMS")
		os.Exit(2)
	}
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	sum := 0.0
	for k := n - 1; k >= 0; k-- {
		term := 4.0 / float64(2*k+1)
		if k%2 == 1 {
			term = -term
		}
		sum += term
	}
	fmt.Printf("%d terms: %.12f\n", n, sum)
}
