//go:build go1.24

package main

// The encoding of docs/abi.md for one function: CBOR (RFC 8949), numeric lists as typed arrays (RFC 8746).
//
// This file lies in the package of the user's function, whose names may be anything: all that is declared here is
// called bw_something, and of Go's own names only those are used that the reader of signatures looks out for. There is
// no fmt and no reflect: they would make the module larger.

import (
	bw_math "math"
	bw_slices "slices"
	bw_strconv "strconv"
	bw_utf8 "unicode/utf8"
	bw_unsafe "unsafe"
)

// Major types of CBOR.
const (
	bw_unsigned byte = iota
	bw_negative
	bw_octets
	bw_text
	bw_array
	bw_map
	bw_tag
	bw_simple
)

// First bytes.
const (
	bw_false byte = 0xf4
	bw_true  byte = 0xf5
	bw_null  byte = 0xf6
	bw_half  byte = 0xf9
	bw_float byte = 0xfa
	bw_wide  byte = 0xfb
)

const bw_kept = 1 << 20 // bytes of a buffer that may wait for the next call; more is given back

type bw_integer interface {
	int | int8 | int16 | int32 | int64 | uint | uint8 | uint16 | uint32 | uint64
}

type bw_real interface{ float32 | float64 }

type bw_number interface{ bw_integer | bw_real }

// The garbage collector sees no pointer that only the host has, so these variables hold what the host reads and writes.
var (
	bw_arguments []byte
	bw_answer    []byte
)

var bw_not_text bool // whether the result that is being written has a string that can't be sent as text

//go:wasmexport bw_alloc
func bw_alloc(size uint32) uint32 {
	if cap(bw_answer) > bw_kept {
		bw_answer = nil
	}
	if cap(bw_arguments) <= int(size) || cap(bw_arguments) > bw_kept && int(size) < bw_kept {
		bw_arguments = nil
		bw_arguments = make([]byte, int(size)+1) // at least one byte, since none has no address
	}
	bw_arguments = bw_arguments[:cap(bw_arguments)]
	return bw_address(bw_arguments)
}

func bw_address(data []byte) uint32 {
	return uint32(uintptr(bw_unsafe.Pointer(bw_unsafe.SliceData(data))))
}

func bw_give(answer []byte) uint64 {
	bw_answer = answer
	if bw_not_text {
		bw_not_text = false
		return bw_error("raised", "the result has a string that is not UTF-8; bytes are a []byte")
	}
	return uint64(bw_address(answer))<<32 | uint64(len(answer))
}

func bw_error(kind, text string) uint64 {
	out := append(bw_answer[:0], 0xd9, 0x62, 0x77, 0x82)
	if !bw_utf8.ValidString(text) {
		text = string([]rune(text)) // U+FFFD for each byte that is no part of UTF-8: what went wrong must be told
	}
	return bw_give(bw_put_string(bw_put_string(out, kind), text))
}

// ---- reading -------------------------------------------------------------------------------------------------------

// bw_in is what the host sent. Its methods say whether that went well; after one that did not, bad says what is wrong
// and path where, which grows on the way out.
type bw_in struct {
	data []byte
	at   int
	bad  string
	path string
}

func bw_open(at, size uint32) bw_in {
	if at != bw_address(bw_arguments) || uint64(size) > uint64(len(bw_arguments)) {
		return bw_in{bad: "the arguments are not where bw_alloc said"}
	}
	return bw_in{data: bw_arguments[:size]}
}

func (from *bw_in) fail(text string) bool {
	from.bad = text
	return false
}

// inside goes one step out: what failed belongs to this part.
func (from *bw_in) inside(part string) bool {
	from.path = part + from.path
	return false
}

func (from *bw_in) told() string {
	if from.path == "" {
		return from.bad
	}
	return from.path + ": " + from.bad
}

func (from *bw_in) start(params uint64) bool {
	if from.bad != "" {
		return false
	}
	count, ok := from.count(bw_array, "an array of arguments")
	if ok && count != params {
		s := "s"
		if params == 1 {
			s = ""
		}
		return from.fail("expected " + bw_decimal(params) + " argument" + s + ", found " + bw_decimal(count))
	}
	return ok
}

func (from *bw_in) end() bool {
	if left := len(from.data) - from.at; left > 0 {
		return from.fail(bw_decimal(uint64(left)) + " bytes follow the arguments")
	}
	return true
}

func (from *bw_in) cut_short() bool {
	return from.fail("the arguments are cut short after " + bw_decimal(uint64(len(from.data))) + " bytes")
}

func bw_decimal(number uint64) string {
	return bw_strconv.FormatUint(number, 10)
}

// head reads an item's first bytes: its major type and the number in them. A float's number is its bits.
func (from *bw_in) head() (major byte, number uint64, ok bool) {
	if from.at >= len(from.data) {
		return 0, 0, from.cut_short()
	}
	first := from.data[from.at]
	from.at++
	major, low := first>>5, first&31
	if low < 24 {
		return major, uint64(low), true
	}
	if low > 27 {
		return major, 0, from.fail("found an item of no definite length")
	}
	size := 1 << (low - 24)
	if len(from.data)-from.at < size {
		return major, 0, from.cut_short()
	}
	for _, digit := range from.data[from.at : from.at+size] {
		number = number<<8 | uint64(digit)
	}
	from.at += size
	return major, number, true
}

// expected tells what stands at a place instead of what should.
func (from *bw_in) expected(kind string, at int) bool {
	found := ""
	switch first := from.data[at]; first >> 5 {
	case bw_unsigned:
		found = "an integer"
	case bw_negative:
		found = "a negative integer"
	case bw_octets:
		found = "a byte string"
	case bw_text:
		found = "a text string"
	case bw_array:
		found = "an array"
	case bw_map:
		found = "a map"
	case bw_tag:
		from.at = at
		_, tag, _ := from.head()
		found = "tag " + bw_decimal(tag)
	default:
		found = bw_found_simple(first)
	}
	return from.fail("expected " + kind + ", found " + found)
}

func bw_found_simple(first byte) string {
	switch first {
	case bw_false:
		return "false"
	case bw_true:
		return "true"
	case bw_null:
		return "null"
	case bw_half, bw_float, bw_wide:
		return "a float"
	}
	return "a simple value"
}

// count reads the head of an array or a map. Each item needs a byte at least, so no more can be counted than are left.
func (from *bw_in) count(major byte, kind string) (uint64, bool) {
	at := from.at
	found, number, ok := from.head()
	if ok && found != major {
		return 0, from.expected(kind, at)
	}
	return number, ok
}

// holds says whether that many items, each of at least that many bytes, can still come.
func (from *bw_in) holds(count, least uint64) bool {
	if count > uint64(len(from.data)-from.at)/least {
		return from.cut_short()
	}
	return true
}

// octets reads what a byte or text string consists of, in place.
func (from *bw_in) octets(major byte, kind string) ([]byte, bool) {
	size, ok := from.count(major, kind)
	if !ok || !from.holds(size, 1) {
		return nil, false
	}
	start := from.at
	from.at += int(size)
	return from.data[start:from.at], true
}

func (from *bw_in) text(kind string) ([]byte, bool) {
	data, ok := from.octets(bw_text, kind)
	if ok && !bw_utf8.Valid(data) {
		return nil, from.fail("expected " + kind + ", found a text string that is not UTF-8")
	}
	return data, ok
}

func bw_get_bool(from *bw_in, to *bool) bool {
	at := from.at
	if _, _, ok := from.head(); !ok {
		return false
	}
	if first := from.data[at]; first != bw_true && first != bw_false {
		return from.expected("bool", at)
	}
	*to = from.data[at] == bw_true
	return true
}

func bw_get_int[T bw_integer](from *bw_in, to *T, kind string) bool {
	at := from.at
	major, number, ok := from.head()
	if !ok {
		return false
	}
	switch major {
	case bw_unsigned:
		*to = T(number)
		if *to < 0 || uint64(*to) != number {
			return from.fail(bw_decimal(number) + " does not fit " + kind)
		}
	case bw_negative:
		*to = T(-1 - int64(number))
		if number > bw_math.MaxInt64 || *to >= 0 || int64(*to) != -1-int64(number) {
			return from.fail(bw_below_zero(number) + " does not fit " + kind)
		}
	default:
		return from.expected(kind, at)
	}
	return true
}

// bw_below_zero is -1-number in decimal.
func bw_below_zero(number uint64) string {
	if number == bw_math.MaxUint64 {
		return "-18446744073709551616"
	}
	return "-" + bw_decimal(number+1)
}

func bw_get_float[T bw_real](from *bw_in, to *T, kind string) bool {
	at := from.at
	major, number, ok := from.head()
	if !ok {
		return false
	}
	first := from.data[at]
	switch {
	case first == bw_wide:
		*to = T(bw_math.Float64frombits(number))
	case first == bw_float:
		*to = T(bw_math.Float32frombits(uint32(number)))
	case first == bw_half:
		*to = T(bw_from_half(number))
	case major == bw_unsigned:
		*to = T(number)
	case major == bw_negative && number == bw_math.MaxUint64:
		*to = -(1 << 64)
	case major == bw_negative:
		*to = -T(number + 1)
	default:
		return from.expected(kind, at)
	}
	return true
}

// bw_from_half is the value of a 16-bit float: 1 bit of sign, 5 of exponent, 10 of mantissa.
func bw_from_half(bits uint64) float64 {
	sign, exponent, mantissa := bits>>15<<63, bits>>10&31, bits&1023
	switch exponent {
	case 0:
		value := float64(mantissa) / (1 << 24)
		return bw_math.Float64frombits(sign | bw_math.Float64bits(value))
	case 31:
		return bw_math.Float64frombits(sign | 2047<<52 | mantissa<<42)
	}
	return bw_math.Float64frombits(sign | (exponent+1023-15)<<52 | mantissa<<42)
}

func bw_get_string(from *bw_in, to *string) bool {
	data, ok := from.text("string")
	*to = string(data)
	return ok
}

func bw_get_bytes(from *bw_in, to *[]uint8, item func(*bw_in, *uint8) bool) bool {
	if from.at < len(from.data) && from.data[from.at]>>5 == bw_octets {
		data, ok := from.octets(bw_octets, "list<u8>")
		*to = append([]uint8{}, data...)
		return ok
	}
	return bw_get_numbers(from, to, "list<u8>", 64, item)
}

func bw_get_numbers[T bw_number](from *bw_in, to *[]T, kind string, tag uint64, item func(*bw_in, *T) bool) bool {
	at := from.at
	if at >= len(from.data) || from.data[at]>>5 != bw_tag {
		return bw_get_list(from, to, kind, 1, item)
	}
	_, found, ok := from.head()
	if ok && found != tag {
		return from.expected(kind, at)
	}
	data, ok := from.octets(bw_octets, "the bytes of "+kind)
	if !ok {
		return false
	}
	var one T
	size := int(bw_unsafe.Sizeof(one))
	if len(data)%size != 0 {
		return from.fail("expected " + kind + ", found " + bw_decimal(uint64(len(data))) + " bytes")
	}
	*to = make([]T, len(data)/size)
	_ = append(bw_memory_of(*to)[:0], data...)
	return true
}

// bw_memory_of is the memory of numbers; wasm is little-endian as the typed arrays are.
func bw_memory_of[T bw_number](numbers []T) []byte {
	var one T
	size := len(numbers) * int(bw_unsafe.Sizeof(one))
	return bw_unsafe.Slice((*byte)(bw_unsafe.Pointer(bw_unsafe.SliceData(numbers))), size)
}

func bw_get_list[T interface{}](from *bw_in, to *[]T, kind string, least uint64, item func(*bw_in, *T) bool) bool {
	count, ok := from.count(bw_array, kind)
	if !ok || !from.holds(count, least) {
		return false
	}
	items := make([]T, count)
	for place := range items {
		if !item(from, &items[place]) {
			return from.inside("[" + bw_decimal(uint64(place)) + "]")
		}
	}
	*to = items
	return true
}

func bw_get_map[T interface{}](from *bw_in, to *map[string]T, kind string, least uint64, item func(*bw_in, *T) bool) bool {
	count, ok := from.count(bw_map, kind)
	if !ok || !from.holds(count, least) {
		return false
	}
	items := map[string]T{}
	for ; count > 0; count-- {
		data, ok := from.text("a key of " + kind)
		if !ok {
			return false
		}
		key := string(data)
		var value T
		if !item(from, &value) {
			return from.inside("[" + bw_strconv.Quote(key) + "]")
		}
		items[key] = value
	}
	*to = items
	return true
}

func bw_get_option[T interface{}](from *bw_in, to **T, item func(*bw_in, *T) bool) bool {
	if from.at < len(from.data) && from.data[from.at] == bw_null {
		from.at++
		*to = nil
		return true
	}
	var value T
	*to = &value
	return item(from, &value)
}

func (from *bw_in) no_field(record string, key []byte, names string) bool {
	return from.fail(record + " has no field " + bw_strconv.Quote(string(key)) + "; it has " + names)
}

// all says whether every field was seen; texts are the fields with their types.
func (from *bw_in) all(seen []bool, record string, texts []string) bool {
	missing := ""
	for place, text := range texts {
		if !seen[place] && missing != "" {
			missing += ", "
		}
		if !seen[place] {
			missing += text
		}
	}
	if missing != "" {
		return from.fail(record + " lacks " + missing)
	}
	return true
}

// ---- writing -------------------------------------------------------------------------------------------------------

// bw_put_head writes an item's first bytes, as few as can be.
func bw_put_head(out []byte, major byte, number uint64) []byte {
	first := major << 5
	switch {
	case number < 24:
		return append(out, first|byte(number))
	case number < 1<<8:
		return append(out, first|24, byte(number))
	case number < 1<<16:
		return append(out, first|25, byte(number>>8), byte(number))
	case number < 1<<32:
		return bw_put_big(append(out, first|26), number, 4)
	}
	return bw_put_big(append(out, first|27), number, 8)
}

func bw_put_big(out []byte, number uint64, size int) []byte {
	for size--; size >= 0; size-- {
		out = append(out, byte(number>>(8*size)))
	}
	return out
}

func bw_put_bool(out []byte, value bool) []byte {
	if value {
		return append(out, bw_true)
	}
	return append(out, bw_false)
}

func bw_put_int(out []byte, value int64) []byte {
	if value < 0 {
		return bw_put_head(out, bw_negative, uint64(-1-value))
	}
	return bw_put_head(out, bw_unsigned, uint64(value))
}

func bw_put_f32(out []byte, value float32) []byte {
	return bw_put_big(append(out, bw_float), uint64(bw_math.Float32bits(value)), 4)
}

func bw_put_f64(out []byte, value float64) []byte {
	return bw_put_big(append(out, bw_wide), bw_math.Float64bits(value), 8)
}

func bw_put_string(out []byte, value string) []byte {
	if !bw_utf8.ValidString(value) {
		bw_not_text = true
	}
	return append(bw_put_head(out, bw_text, uint64(len(value))), value...)
}

func bw_put_bytes(out []byte, value []uint8) []byte {
	return append(bw_put_head(out, bw_octets, uint64(len(value))), value...)
}

func bw_put_numbers[T bw_number](out []byte, value []T, tag uint64) []byte {
	return bw_put_bytes(bw_put_head(out, bw_tag, tag), bw_memory_of(value))
}

func bw_put_list[T interface{}](out []byte, value []T, item func([]byte, T) []byte) []byte {
	out = bw_put_head(out, bw_array, uint64(len(value)))
	for _, each := range value {
		out = item(out, each)
	}
	return out
}

func bw_put_map[T interface{}](out []byte, value map[string]T, item func([]byte, T) []byte) []byte {
	keys := make([]string, 0, len(value))
	for key := range value {
		keys = append(keys, key)
	}
	bw_slices.Sort(keys)
	out = bw_put_head(out, bw_map, uint64(len(keys)))
	for _, key := range keys {
		out = item(bw_put_string(out, key), value[key])
	}
	return out
}

func bw_put_option[T interface{}](out []byte, value *T, item func([]byte, T) []byte) []byte {
	if value == nil {
		return append(out, bw_null)
	}
	return item(out, *value)
}
