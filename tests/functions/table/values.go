// Package values has the whole table of types, there and back: same in records, views also with an error.
package values

import (
	"errors"
	"fmt"
)

type Inner struct {
	Name  string
	Marks *[]string
}

type All struct {
	Flag         bool
	S8           int8
	S16          int16
	S32          int32
	S64          int64
	U8           uint8
	U16          uint16
	U32          uint32
	U64          uint64
	Word         int
	Size         uint
	F32          float32
	F64          float64
	Text         string
	Data         []byte
	Flags        []bool
	S8s          []int8
	S16s         []int16
	S32s         []rune
	S64s         []int64
	U16s         []uint16
	U32s         []uint32
	U64s         []uint64
	F32s         []float32
	F64s         []float64
	Texts        []string
	Rows         [][]float64
	Maybe        *int64
	MaybeData    *[]byte
	Gaps         *[]*float64
	ByName       map[string][]float32
	Deep         map[string]map[string]*bool
	Inner        Inner
	Inners       []Inner
	InnersByName map[string]Inner
}

func same(all All, inner *Inner) (All, *Inner) {
	return all, inner
}

func views(text string, data []byte, numbers []float64, fail bool) (string, []byte, []float64, error) {
	fmt.Println("called with", text)
	if fail {
		return "", nil, nil, errors.New(text)
	}
	return text, data, numbers, nil
}
