//! The whole table of types, there and back: `same` in one record, `views` what can only be taken in.

use std::collections::{BTreeMap, HashMap};

struct Inner {
    name: String,
    marks: Option<Vec<String>>,
}

struct All {
    flag: bool,
    s8: i8,
    s16: i16,
    s32: i32,
    s64: i64,
    u8: u8,
    u16: u16,
    u32: u32,
    u64: u64,
    word: isize,
    size: usize,
    f32: f32,
    f64: f64,
    text: String,
    data: Vec<u8>,
    flags: Vec<bool>,
    s8s: Vec<i8>,
    s16s: Vec<i16>,
    s32s: Vec<i32>,
    s64s: Vec<i64>,
    u16s: Vec<u16>,
    u32s: Vec<u32>,
    u64s: Vec<u64>,
    f32s: Vec<f32>,
    f64s: Vec<f64>,
    texts: Vec<String>,
    rows: Vec<Vec<f64>>,
    maybe: Option<i64>,
    maybe_data: Option<Vec<u8>>,
    gaps: Option<Vec<Option<f64>>>,
    pair: (i32, String, (bool, Vec<u16>)),
    by_name: HashMap<String, Vec<f32>>,
    deep: BTreeMap<String, BTreeMap<String, Option<bool>>>,
    inner: Inner,
    inners: Vec<Inner>,
    inners_by_name: BTreeMap<String, Inner>,
}

fn same(all: All) -> All {
    all
}

fn views(text: &str, data: &[u8], numbers: &[f64], fail: bool) -> Result<(String, Vec<u8>, Vec<f64>), String> {
    println!("called with {}", text);
    if fail {
        return Err(text.to_string());
    }
    Ok((text.to_string(), data.to_vec(), numbers.to_vec()))
}

fn floats(numbers: Vec<f64>) -> Vec<f64> {
    numbers
}
