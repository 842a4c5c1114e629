// Between CBOR and Rust's values, and the exports beside bw_call; docs/abi.md of batchwasm says what they do. It is a
// module of the user's crate, so it suits all editions, needs no other crate, and brings std where a crate has none.

pub extern crate std;
pub use self::std::prelude::v1::*;

use self::std::collections::{BTreeMap, HashMap};
use self::std::hash::{BuildHasher, Hash};
use self::std::{cell, fmt, mem, ptr, slice, str};

const INTEGER: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

const FALSE: u8 = 20;
const NULL: u8 = 22;
const TAG_OF_BYTES: u64 = 64;
const TAG_OF_ERRORS: u64 = 25207;

// ---- exports ---------------------------------------------------------------------------------------------------------

struct Buffers {
    arguments: Vec<u8>,
    answer: Vec<u8>,
}

static mut BUFFERS: Buffers = Buffers { arguments: Vec::new(), answer: Vec::new() };

fn buffers() -> &'static mut Buffers {
    // There is one thread, and none of ours keeps it while another of ours runs.
    unsafe { &mut *ptr::addr_of_mut!(BUFFERS) }
}

extern "C" {
    fn __wasm_call_ctors();
}

// A module without `_initialize` in which nobody calls the constructors gets them called around each export, every time.
#[no_mangle]
pub extern "C" fn bw_init() {
    unsafe { __wasm_call_ctors() }
}

#[no_mangle]
pub extern "C" fn bw_alloc(size: usize) -> usize {
    let all = buffers();
    all.answer = Vec::new();
    all.arguments.clear();
    match all.arguments.try_reserve_exact(size) {
        Ok(()) => all.arguments.as_mut_ptr() as usize,
        Err(_) => 0,
    }
}

pub fn call<F>(at: usize, size: usize, run: F) -> u64
where
    F: for<'a> FnOnce(&mut Input<'a>, &mut Vec<u8>) -> Result<(), Error>,
{
    let mut answer = mem::replace(&mut buffers().answer, Vec::new());
    answer.clear();
    {
        let kept = Kept(cell::RefCell::new(Vec::new()));
        let mut input = Input { rest: unsafe { slice::from_raw_parts(at as *const u8, size) }, kept: &kept };
        if let Err(error) = run(&mut input, &mut answer) {
            answer.clear();
            error.encode(&mut answer);
        }
    }
    let result = (answer.as_ptr() as u64) << 32 | answer.len() as u64;
    buffers().answer = answer;
    result
}

// ---- errors ----------------------------------------------------------------------------------------------------------

pub struct Error {
    path: String,
    text: String,
}

impl Error {
    #[cold]
    fn new(text: String) -> Error {
        Error { path: String::new(), text: text }
    }

    #[cold]
    fn short() -> Error {
        Error::new(String::from("the CBOR is cut short"))
    }

    #[cold]
    fn expected(name: fn(&mut String), found: &str) -> Error {
        let mut text = String::from("expected ");
        name(&mut text);
        text.push_str(", found ");
        text.push_str(found);
        Error::new(text)
    }

    #[cold]
    fn under(mut self, parts: &[&str]) -> Error {
        for part in parts.iter().rev() {
            self.path.insert_str(0, part);
        }
        self
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let text = if self.path.is_empty() { self.text.clone() } else { [&self.path[..], ": ", &self.text].concat() };
        failure("argument", &text, out);
    }
}

fn failure(kind: &str, text: &str, out: &mut Vec<u8>) {
    head(TAG, TAG_OF_ERRORS, out);
    head(ARRAY, 2, out);
    kind.encode(out);
    text.encode(out);
}

/// What an Err says: by Display, else by Debug. `(&&&Failed(&error)).text()` takes the first that its type has.
pub struct Failed<'e, E: 'e>(pub &'e E);

pub trait ByDisplay {
    fn text(&self) -> String;
}

pub trait ByDebug {
    fn text(&self) -> String;
}

pub trait ByNothing {
    fn text(&self) -> String;
}

impl<'r, 's, 'e, E: fmt::Display> ByDisplay for &'r &'s Failed<'e, E> {
    fn text(&self) -> String {
        self.0.to_string()
    }
}

impl<'r, 'e, E: fmt::Debug> ByDebug for &'r Failed<'e, E> {
    fn text(&self) -> String {
        std::format!("{:?}", self.0)
    }
}

impl<'e, E> ByNothing for Failed<'e, E> {
    fn text(&self) -> String {
        String::from("it failed with an error that has no text")
    }
}

pub fn raised(text: String, out: &mut Vec<u8>) {
    failure("raised", &text, out);
}

// ---- decoding --------------------------------------------------------------------------------------------------------

/// The arguments that are still to be read.
pub struct Input<'a> {
    rest: &'a [u8],
    kept: &'a Kept,
}

/// Values that references in parameters point to; they live as long as the call.
pub struct Kept(cell::RefCell<Vec<(*mut u8, unsafe fn(*mut u8))>>);

impl Kept {
    fn keep<'a, T: 'a>(&'a self, value: T) -> &'a T {
        unsafe fn free<T>(at: *mut u8) {
            drop(Box::from_raw(at as *mut T))
        }
        let at = Box::into_raw(Box::new(value));
        self.0.borrow_mut().push((at as *mut u8, free::<T>));
        unsafe { &*at }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // The last first: it may refer to the others.
        while let Some((at, free)) = self.0.get_mut().pop() {
            unsafe { free(at) }
        }
    }
}

#[derive(Clone, Copy)]
struct Head {
    major: u8,
    info: u8,
    value: u64,
}

impl Head {
    fn found(self) -> String {
        String::from(match (self.major, self.info, self.value) {
            (INTEGER, _, _) | (NEGATIVE, _, _) => "an integer",
            (BYTES, _, _) => "a byte string",
            (TEXT, _, _) => "a text string",
            (ARRAY, _, _) => "an array",
            (MAP, _, _) => "a map",
            (TAG, _, tag) => return found_tag(tag),
            (_, FALSE, _) | (_, 21, _) => "a bool",
            (_, NULL, _) => "null",
            (_, 23, _) => "undefined",
            (_, 25, _) | (_, 26, _) | (_, 27, _) => "a float",
            _ => "a simple value",
        })
    }
}

fn found_tag(tag: u64) -> String {
    let item = match tag {
        64 => "u8",
        69 => "u16",
        70 => "u32",
        71 => "u64",
        72 => "s8",
        77 => "s16",
        78 => "s32",
        79 => "s64",
        85 => "f32",
        86 => "f64",
        _ => return std::format!("a value with tag {}", tag),
    };
    ["a typed array of ", item].concat()
}

impl<'a> Input<'a> {
    fn take(&mut self, size: u64) -> Result<&'a [u8], Error> {
        if size > self.rest.len() as u64 {
            return Err(Error::short());
        }
        let (taken, rest) = self.rest.split_at(size as usize);
        self.rest = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, Error> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 31);
        let value = match info {
            0..=23 => u64::from(info),
            24..=27 => self.take(1 << (info - 24))?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
            31 => return Err(Error::new(String::from("it is CBOR of indefinite length, which is not understood"))),
            _ => return Err(Error::new(String::from("it is not CBOR"))),
        };
        Ok(Head { major: major, info: info, value: value })
    }

    fn peek(&self) -> Result<Head, Error> {
        Input { rest: self.rest, kept: self.kept }.head()
    }

    /// The head of a value that must be of this kind.
    fn one(&mut self, major: u8, name: fn(&mut String)) -> Result<u64, Error> {
        let head = self.head()?;
        if head.major != major {
            return Err(Error::expected(name, &head.found()));
        }
        Ok(head.value)
    }

    /// How many values follow; each has a byte at least.
    fn count(&mut self, major: u8, name: fn(&mut String)) -> Result<usize, Error> {
        let count = self.one(major, name)?;
        if count > self.rest.len() as u64 {
            return Err(Error::short());
        }
        Ok(count as usize)
    }

    /// The number's bits in two's complement, once it is in the range.
    fn integer(&mut self, signed: bool, most: u64, name: fn(&mut String)) -> Result<u64, Error> {
        let head = self.head()?;
        match head.major {
            INTEGER if head.value <= most => Ok(head.value),
            NEGATIVE if signed && head.value <= most => Ok(!head.value),
            INTEGER | NEGATIVE => {
                let mut text = match (head.major, head.value.checked_add(1)) {
                    (INTEGER, _) => head.value.to_string(),
                    (_, Some(value)) => std::format!("-{}", value),
                    (_, None) => String::from("-18446744073709551616"),
                };
                text.push_str(" is out of the range of ");
                name(&mut text);
                Err(Error::new(text))
            }
            _ => Err(Error::expected(name, &head.found())),
        }
    }

    fn float(&mut self, name: fn(&mut String)) -> Result<f64, Error> {
        let head = self.head()?;
        match (head.major, head.info) {
            (INTEGER, _) => Ok(head.value as f64),
            (NEGATIVE, _) => Ok(-1.0 - head.value as f64),
            (SIMPLE, 25) => Ok(half(head.value as u16)),
            (SIMPLE, 26) => Ok(f64::from(f32::from_bits(head.value as u32))),
            (SIMPLE, 27) => Ok(f64::from_bits(head.value)),
            _ => Err(Error::expected(name, &head.found())),
        }
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        let size = self.one(TEXT, String::name)?;
        str::from_utf8(self.take(size)?).map_err(|_| Error::new(String::from("the text string is not UTF-8")))
    }

    /// The bytes of a typed array (of a byte string, too, for u8) whose items have `size` bytes; None for an array.
    fn typed(&mut self, tag: u64, size: usize, name: fn(&mut String)) -> Result<Option<&'a [u8]>, Error> {
        let head = self.peek()?;
        match (head.major, head.value) {
            (ARRAY, _) => return Ok(None),
            (BYTES, _) if tag == TAG_OF_BYTES => {}
            (TAG, found) if found == tag => {
                self.head()?;
            }
            _ => return Err(Error::expected(name, &head.found())),
        }
        let length = self.one(BYTES, name)?;
        let bytes = self.take(length)?;
        if bytes.len() % size != 0 {
            return Err(Error::new(std::format!("a typed array of {} bytes ends within an item", length)));
        }
        Ok(Some(bytes))
    }

    fn items<T: Decode<'a>>(&mut self) -> Result<Vec<T>, Error> {
        let count = self.count(ARRAY, T::list_name)?;
        // A list of large items must not claim more memory than what was sent.
        let mut items = Vec::with_capacity(count.min(self.rest.len() / mem::size_of::<T>().max(1)));
        for index in 0..count {
            items.push(T::decode(self).map_err(|error| error.under(&["[", &index.to_string(), "]"]))?);
        }
        Ok(items)
    }

    /// Calls `entry` for each, with the input at its value.
    fn entries(
        &mut self,
        name: fn(&mut String),
        entry: &mut dyn FnMut(&mut Input<'a>, &'a str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for _ in 0..self.count(MAP, name)? {
            let key = self.text()?;
            entry(self, key)?;
        }
        Ok(())
    }

    /// `field` reads the value of the field that it is told, or says that there is no such field.
    pub fn record(
        &mut self,
        name: fn(&mut String),
        field: &mut dyn FnMut(&mut Input<'a>, &str) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        self.entries(name, &mut |input, key| {
            if field(input, key).map_err(|error| error.under(&[".", key]))? {
                return Ok(());
            }
            let mut text = String::new();
            name(&mut text);
            text.push_str(" has no field ");
            text.push_str(key);
            Err(Error::new(text))
        })
    }

    pub fn value<T: Decode<'a>>(&mut self) -> Result<T, Error> {
        T::decode(self)
    }

    pub fn arguments(&mut self, count: usize) -> Result<(), Error> {
        let found = self.count(ARRAY, |out| out.push_str("an array of the arguments"))?;
        if found == count {
            return Ok(());
        }
        let plural = if count == 1 { "" } else { "s" };
        Err(Error::new(std::format!("expected {} argument{}, found {}", count, plural, found)))
    }

    pub fn argument<T: Decode<'a>>(&mut self, name: &str) -> Result<T, Error> {
        T::decode(self).map_err(|error| error.under(&[name]))
    }

    pub fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Error::new(std::format!("{} bytes follow the arguments", self.rest.len())))
    }
}

/// The field's value; `record` is the record's name.
pub fn present<T>(value: Option<T>, field: &str, record: fn(&mut String)) -> Result<T, Error> {
    value.ok_or_else(|| {
        let mut text = String::from("the field ");
        text.push_str(field);
        text.push_str(" of ");
        record(&mut text);
        text.push_str(" is missing");
        Error::new(text)
    })
}

/// A float of 16 bits.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (bits >> 10 & 31, f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction / 16777216.0,
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        // 2 ** (exponent - 15), put together from its bits: powi would bring in a table.
        _ => (1.0 + fraction / 1024.0) * f64::from_bits(u64::from(exponent + 1008) << 52),
    };
    if bits >> 15 == 1 {
        -size
    } else {
        size
    }
}

pub trait Decode<'a>: Sized {
    /// The type as errors call it.
    fn name(out: &mut String);

    fn decode(input: &mut Input<'a>) -> Result<Self, Error>;

    fn list_name(out: &mut String) {
        out.push_str("list<");
        Self::name(out);
        out.push('>');
    }

    fn decode_list(input: &mut Input<'a>) -> Result<Vec<Self>, Error> {
        input.items()
    }

    fn decode_slice(input: &mut Input<'a>) -> Result<&'a [Self], Error>
    where
        Self: 'a,
    {
        Ok(input.kept.keep(Self::decode_list(input)?))
    }
}

pub trait Encode {
    fn encode(&self, out: &mut Vec<u8>);

    fn encode_list(items: &[Self], out: &mut Vec<u8>)
    where
        Self: Sized,
    {
        head(ARRAY, items.len() as u64, out);
        for item in items {
            item.encode(out);
        }
    }
}

pub fn head(major: u8, value: u64, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let (info, size) = match value {
        0..=23 => (value as u8, 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | info);
    out.extend_from_slice(&bytes[8 - size..]);
}

pub fn record(fields: usize, out: &mut Vec<u8>) {
    head(MAP, fields as u64, out);
}

pub fn field<T: Encode + ?Sized>(name: &str, value: &T, out: &mut Vec<u8>) {
    name.encode(out);
    value.encode(out);
}

// ---- numbers ---------------------------------------------------------------------------------------------------------

/// Copies a typed array's bytes. `T` is a number, for which any bits are a value.
unsafe fn copied<T>(bytes: &[u8]) -> Vec<T> {
    let count = bytes.len() / mem::size_of::<T>();
    let mut items = Vec::<T>::with_capacity(count);
    ptr::copy_nonoverlapping(bytes.as_ptr(), items.as_mut_ptr() as *mut u8, bytes.len());
    items.set_len(count);
    items
}

fn typed_array<T>(tag: u64, items: &[T], out: &mut Vec<u8>) {
    let bytes = unsafe { slice::from_raw_parts(items.as_ptr() as *const u8, mem::size_of_val(items)) };
    if tag != TAG_OF_BYTES {
        head(TAG, tag, out);
    }
    out.reserve(bytes.len() + 9);
    head(BYTES, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

macro_rules! bw_number {
    ($type:ty, $name:expr, $tag:expr, $read:expr, $write:expr) => {
        impl<'a> Decode<'a> for $type {
            fn name(out: &mut String) {
                out.push_str($name);
            }

            fn decode(input: &mut Input<'a>) -> Result<$type, Error> {
                let read: fn(&mut Input<'a>) -> Result<$type, Error> = $read;
                read(input)
            }

            fn decode_list(input: &mut Input<'a>) -> Result<Vec<$type>, Error> {
                match input.typed($tag, mem::size_of::<$type>(), Self::list_name)? {
                    Some(bytes) => Ok(unsafe { copied(bytes) }),
                    None => input.items(),
                }
            }

            fn decode_slice(input: &mut Input<'a>) -> Result<&'a [$type], Error> {
                if $tag == TAG_OF_BYTES {
                    if let Some(bytes) = input.typed($tag, 1, Self::list_name)? {
                        // Bytes can be lent as they were sent.
                        return Ok(unsafe { slice::from_raw_parts(bytes.as_ptr() as *const $type, bytes.len()) });
                    }
                }
                Ok(input.kept.keep(Self::decode_list(input)?))
            }
        }

        impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                let write: fn($type, &mut Vec<u8>) = $write;
                write(*self, out);
            }

            fn encode_list(items: &[$type], out: &mut Vec<u8>) {
                typed_array($tag, items, out);
            }
        }
    };
}

macro_rules! bw_integers {
    ($($type:ty: $wide:ty, $signed:expr, $name:expr, $tag:expr;)*) => {$(
        bw_number!(
            $type,
            $name,
            $tag,
            |input| Ok(input.integer($signed, <$type>::max_value() as u64, <$type as Decode>::name)? as $type),
            |number, out| match $signed && (number as i64) < 0 {
                true => head(NEGATIVE, !(number as $wide) as u64, out),
                false => head(INTEGER, number as u64, out),
            }
        );
    )*};
}

bw_integers! {
    i8: i64, true, "s8", 72;
    i16: i64, true, "s16", 77;
    i32: i64, true, "s32", 78;
    i64: i64, true, "s64", 79;
    isize: i64, true, "s32", 78;
    u8: u64, false, "u8", TAG_OF_BYTES;
    u16: u64, false, "u16", 69;
    u32: u64, false, "u32", 70;
    u64: u64, false, "u64", 71;
    usize: u64, false, "u32", 70;
}

bw_number!(f32, "f32", 85, |input| Ok(input.float(<f32 as Decode>::name)? as f32), |number, out| {
    out.push(SIMPLE << 5 | 26);
    out.extend_from_slice(&number.to_bits().to_be_bytes());
});
bw_number!(f64, "f64", 86, |input| input.float(<f64 as Decode>::name), |number, out| {
    out.push(SIMPLE << 5 | 27);
    out.extend_from_slice(&number.to_bits().to_be_bytes());
});

// ---- the other types -------------------------------------------------------------------------------------------------

impl<'a> Decode<'a> for bool {
    fn name(out: &mut String) {
        out.push_str("bool");
    }

    fn decode(input: &mut Input<'a>) -> Result<bool, Error> {
        let head = input.head()?;
        match (head.major, head.info) {
            (SIMPLE, FALSE) => Ok(false),
            (SIMPLE, 21) => Ok(true),
            _ => Err(Error::expected(Self::name, &head.found())),
        }
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(SIMPLE << 5 | (FALSE + *self as u8));
    }
}

impl Encode for () {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(SIMPLE << 5 | NULL);
    }
}

impl<'a> Decode<'a> for String {
    fn name(out: &mut String) {
        out.push_str("string");
    }

    fn decode(input: &mut Input<'a>) -> Result<String, Error> {
        Ok(String::from(input.text()?))
    }
}

impl<'a> Decode<'a> for &'a str {
    fn name(out: &mut String) {
        String::name(out);
    }

    fn decode(input: &mut Input<'a>) -> Result<&'a str, Error> {
        input.text()
    }
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        head(TEXT, self.len() as u64, out);
        out.extend_from_slice(self.as_bytes());
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self[..].encode(out);
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    fn name(out: &mut String) {
        T::list_name(out);
    }

    fn decode(input: &mut Input<'a>) -> Result<Vec<T>, Error> {
        T::decode_list(input)
    }
}

impl<'a, T: Decode<'a> + 'a> Decode<'a> for &'a [T] {
    fn name(out: &mut String) {
        T::list_name(out);
    }

    fn decode(input: &mut Input<'a>) -> Result<&'a [T], Error> {
        T::decode_slice(input)
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, out: &mut Vec<u8>) {
        T::encode_list(self, out);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        T::encode_list(self, out);
    }
}

impl<'a, T: Decode<'a> + 'a> Decode<'a> for &'a T {
    fn name(out: &mut String) {
        T::name(out);
    }

    fn decode(input: &mut Input<'a>) -> Result<&'a T, Error> {
        let value = T::decode(input)?;
        Ok(input.kept.keep(value))
    }
}

impl<'r, T: Encode + ?Sized + 'r> Encode for &'r T {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Option<T> {
    fn name(out: &mut String) {
        out.push_str("option<");
        T::name(out);
        out.push('>');
    }

    fn decode(input: &mut Input<'a>) -> Result<Option<T>, Error> {
        let head = input.peek()?;
        if (head.major, head.info) == (SIMPLE, NULL) {
            input.head()?;
            return Ok(None);
        }
        Ok(Some(T::decode(input)?))
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Some(ref value) => value.encode(out),
            None => ().encode(out),
        }
    }
}

fn map_name<'a, T: Decode<'a>>(out: &mut String) {
    out.push_str("map<");
    T::name(out);
    out.push('>');
}

/// A key is a String or a &str.
pub trait Key<'a> {
    fn key(text: &'a str) -> Self;
    fn text(&self) -> &str;
}

impl<'a> Key<'a> for String {
    fn key(text: &'a str) -> String {
        String::from(text)
    }

    fn text(&self) -> &str {
        self
    }
}

impl<'a> Key<'a> for &'a str {
    fn key(text: &'a str) -> &'a str {
        text
    }

    fn text(&self) -> &str {
        self
    }
}

fn entry<'a, T: Decode<'a>>(input: &mut Input<'a>, key: &str) -> Result<T, Error> {
    T::decode(input).map_err(|error| error.under(&["[\"", key, "\"]"]))
}

impl<'a, K: Key<'a> + Eq + Hash, T: Decode<'a>, S: BuildHasher + Default> Decode<'a> for HashMap<K, T, S> {
    fn name(out: &mut String) {
        map_name::<T>(out);
    }

    fn decode(input: &mut Input<'a>) -> Result<HashMap<K, T, S>, Error> {
        let mut map = HashMap::default();
        input.entries(Self::name, &mut |input, key| {
            map.insert(K::key(key), entry(input, key)?);
            Ok(())
        })?;
        Ok(map)
    }
}

impl<'a, K: Key<'a> + Ord, T: Decode<'a>> Decode<'a> for BTreeMap<K, T> {
    fn name(out: &mut String) {
        map_name::<T>(out);
    }

    fn decode(input: &mut Input<'a>) -> Result<BTreeMap<K, T>, Error> {
        let mut map = BTreeMap::new();
        input.entries(Self::name, &mut |input, key| {
            map.insert(K::key(key), entry(input, key)?);
            Ok(())
        })?;
        Ok(map)
    }
}

impl<K: AsRef<str>, T: Encode, S> Encode for HashMap<K, T, S> {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut entries: Vec<(&str, &T)> = self.iter().map(|(key, value)| (key.as_ref(), value)).collect();
        entries.sort_unstable_by(|one, other| one.0.cmp(other.0));
        record(entries.len(), out);
        for (key, value) in entries {
            field(key, value, out);
        }
    }
}

impl<K: AsRef<str>, T: Encode> Encode for BTreeMap<K, T> {
    fn encode(&self, out: &mut Vec<u8>) {
        record(self.len(), out);
        for (key, value) in self {
            field(key.as_ref(), value, out);
        }
    }
}

macro_rules! bw_tuple {
    ($count:expr; $($type:ident $index:tt),*) => {
        impl<'a, $($type: Decode<'a>),*> Decode<'a> for ($($type,)*) {
            fn name(out: &mut String) {
                let names: [fn(&mut String); $count] = [$($type::name),*];
                for (index, name) in names.iter().enumerate() {
                    out.push_str(if index == 0 { "tuple<" } else { ", " });
                    name(out);
                }
                out.push('>');
            }

            fn decode(input: &mut Input<'a>) -> Result<Self, Error> {
                let found = input.count(ARRAY, Self::name)?;
                if found != $count {
                    return Err(Error::expected(Self::name, &std::format!("an array of {}", found)));
                }
                Ok(($($type::decode(input).map_err(|error| error.under(&["[", std::stringify!($index), "]"]))?,)*))
            }
        }

        impl<$($type: Encode),*> Encode for ($($type,)*) {
            fn encode(&self, out: &mut Vec<u8>) {
                head(ARRAY, $count, out);
                $(self.$index.encode(out);)*
            }
        }
    };
}

bw_tuple!(1; A 0);
bw_tuple!(2; A 0, B 1);
bw_tuple!(3; A 0, B 1, C 2);
bw_tuple!(4; A 0, B 1, C 2, D 3);
bw_tuple!(5; A 0, B 1, C 2, D 3, E 4);
bw_tuple!(6; A 0, B 1, C 2, D 3, E 4, F 5);
bw_tuple!(7; A 0, B 1, C 2, D 3, E 4, F 5, G 6);
bw_tuple!(8; A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
bw_tuple!(9; A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
bw_tuple!(10; A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
bw_tuple!(11; A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
bw_tuple!(12; A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
