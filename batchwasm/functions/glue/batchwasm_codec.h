// What the generated part of a C or C++ function's module calls: reads its arguments, writes its answer (docs/abi.md).
//
// Nothing is included and every name has a prefix, so this can stand after a user's file with whatever macros it has.
// A reading function returns 0 where the item does not fit; unless it says otherwise it has then noted why. What leads
// there (an index, a field) is put in front on the way back out.
#pragma once
#pragma clang system_header

typedef __SIZE_TYPE__ batchwasm_size;
typedef struct batchwasm_in batchwasm_in;
typedef struct batchwasm_out batchwasm_out;

#ifdef __cplusplus
extern "C" {
#endif

// Generated: reads the arguments, calls the function, writes what it gave.
void batchwasm_run(batchwasm_in *bw_in, batchwasm_out *bw_out);

// Numbers are told apart by their typed arrays' tags of RFC 8746: u8 64, u16 69, ... f64 86; `to` and `from` point to one.

int batchwasm_read_arguments(batchwasm_in *bw_in, batchwasm_size bw_count);
int batchwasm_read_end(batchwasm_in *bw_in);
int batchwasm_read_bool(batchwasm_in *bw_in, unsigned char *bw_to);
int batchwasm_read_number(batchwasm_in *bw_in, int bw_tag, void *bw_to);
int batchwasm_read_text(batchwasm_in *bw_in, const char **bw_at, batchwasm_size *bw_size);
int batchwasm_read_c_text(batchwasm_in *bw_in, const char **bw_at);
int batchwasm_read_bytes(batchwasm_in *bw_in, const unsigned char **bw_at, batchwasm_size *bw_size);
int batchwasm_read_numbers(batchwasm_in *bw_in, int bw_tag, const void **bw_at, batchwasm_size *bw_count); // aligned
int batchwasm_read_bools(batchwasm_in *bw_in, const void **bw_at, batchwasm_size *bw_count);

// These leave noting to the caller; `count` is never more than what the input could hold.
int batchwasm_read_null(batchwasm_in *bw_in);
int batchwasm_read_array(batchwasm_in *bw_in, batchwasm_size *bw_count);
int batchwasm_read_array_of(batchwasm_in *bw_in, batchwasm_size bw_count);
int batchwasm_read_map(batchwasm_in *bw_in, batchwasm_size *bw_count);
int batchwasm_read_packed(batchwasm_in *bw_in, int bw_tag, const void **bw_at, batchwasm_size *bw_count); // as it lies there

// Which of the names it is.
int batchwasm_find(const char *const *bw_names, batchwasm_size bw_count, const char *bw_at, batchwasm_size bw_size,
                   batchwasm_size *bw_index);

// Why an item does not fit: what is said is put together; `found` describes the item that comes next.
void batchwasm_say(batchwasm_in *bw_in, const char *bw_text);
void batchwasm_say_text(batchwasm_in *bw_in, const char *bw_at, batchwasm_size bw_size);
void batchwasm_say_found(batchwasm_in *bw_in);
const char *batchwasm_number_name(int bw_tag);
void batchwasm_within_name(batchwasm_in *bw_in, const char *bw_name);
void batchwasm_within_index(batchwasm_in *bw_in, batchwasm_size bw_index);
void batchwasm_within_key(batchwasm_in *bw_in, const char *bw_at, batchwasm_size bw_size);

// Memory until the call ends; `destroy` is called then, unless it is null. Aborts where there is no memory.
void *batchwasm_keep(batchwasm_in *bw_in, batchwasm_size bw_size, void (*bw_destroy)(void *));

void batchwasm_write_null(batchwasm_out *bw_out);
void batchwasm_write_bool(batchwasm_out *bw_out, int bw_value);
void batchwasm_write_number(batchwasm_out *bw_out, int bw_tag, const void *bw_from);
void batchwasm_write_text(batchwasm_out *bw_out, const char *bw_at, batchwasm_size bw_size);
void batchwasm_write_c_text(batchwasm_out *bw_out, const char *bw_text);
void batchwasm_write_bytes(batchwasm_out *bw_out, const void *bw_at, batchwasm_size bw_size);
void batchwasm_write_numbers(batchwasm_out *bw_out, int bw_tag, const void *bw_at, batchwasm_size bw_count);
void batchwasm_write_array(batchwasm_out *bw_out, batchwasm_size bw_count);
void batchwasm_write_map(batchwasm_out *bw_out, batchwasm_size bw_count);
// The answer is this error instead of what was written.
void batchwasm_raise(batchwasm_out *bw_out, const char *bw_text);

#ifdef __cplusplus
}
#endif
