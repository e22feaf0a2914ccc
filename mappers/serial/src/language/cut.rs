//! Where in the bytes of a line the next telegram is: what each language's `cut` answers.

/// What stands at the beginning of the bytes. A count is of bytes, from the first one on; it is never 0.
#[derive(Debug, PartialEq)]
pub enum Cut {
    /// It cannot be told before more bytes have come.
    More,
    /// So many bytes are no telegram of this language, nor the beginning of one.
    Noise(usize),
    /// So many bytes are a telegram by their beginning and end; reading it proves it.
    Whole(usize),
    /// So many bytes began as one, and are none.
    Bad(usize, String),
}

/// What is looked at of bytes of which a telegram has so many at most: what is found does not depend on how many have come.
pub fn seen(bytes: &[u8], longest: usize) -> &[u8] {
    &bytes[..bytes.len().min(longest + 1)]
}

/// More bytes are needed, unless there are more than a telegram has at most.
pub fn more(seen: &[u8], longest: usize) -> Cut {
    match seen.len() {
        many if many > longest => Cut::Bad(longest, format!("no end within {longest} bytes")),
        _ => Cut::More,
    }
}

/// Where `pattern` first stands in `bytes`, at `from` or after it.
pub fn find(bytes: &[u8], pattern: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(pattern.len()).position(|window| window == pattern).map(|at| at + from)
}

/// All bytes before `pattern`, or before what may become it at their end: so many are noise.
pub fn noise(bytes: &[u8], pattern: &[u8]) -> usize {
    (0..bytes.len())
        .find(|at| pattern.starts_with(&bytes[*at..]) || bytes[*at..].starts_with(pattern))
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::{find, noise};

    #[test]
    fn noise_ends_where_a_start_may_begin() {
        for (bytes, count) in [("abc", 3), ("ab<", 2), ("ab<<x", 2), ("ab<c", 4), ("<<", 0), ("", 0)] {
            assert_eq!(noise(bytes.as_bytes(), b"<<"), count, "{bytes}");
        }
        assert_eq!(find(b"abcabc", b"bc", 2), Some(4));
        assert_eq!(find(b"abc", b"bc", 9), None);
    }
}
