// Counts the words of a text and prints them as JSON: {"word": count, ...}. A word is a run of the letters a to z, in
// any case.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

func isNoLetter(r rune) bool { return r < 'a' || r > 'z' }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: words FILE")
		os.Exit(2)
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	counts := map[string]int{}
	for _, word := range strings.FieldsFunc(strings.ToLower(string(text)), isNoLetter) {
		counts[word]++
	}
	if err := json.NewEncoder(os.Stdout).Encode(counts); err != nil {
		os.Exit(1)
	}
}
