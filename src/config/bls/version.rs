//! Version order of UAPI.10, as systemd's `strverscmp_improved`
//! (src/fundamental/string-util.c) orders.

use std::cmp::Ordering;

/// Compares two versions; `Less` is older.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        a = skip_invalid(a);
        b = skip_invalid(b);
        // A pre-release is older than the end of the other version.
        let order = marked(&mut a, &mut b, b'~');
        if order.is_ne() {
            return order;
        }
        if a.is_empty() || b.is_empty() {
            return a.first().cmp(&b.first());
        }
        for mark in *b"-^." {
            let order = marked(&mut a, &mut b, mark);
            if order.is_ne() {
                return order;
            }
        }
        let numeric = starts_with_digit(a) || starts_with_digit(b);
        let order = if numeric { numbers(&mut a, &mut b) } else { letters(&mut a, &mut b) };
        if order.is_ne() {
            return order;
        }
    }
}

fn skip_invalid(text: &[u8]) -> &[u8] {
    let valid = |b: &u8| b.is_ascii_alphanumeric() || b"~-^.".contains(b);
    let start = text.iter().position(valid).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

fn starts_with_digit(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit)
}

/// The one that begins with the mark is older; common marks are skipped.
fn marked(a: &mut &[u8], b: &mut &[u8], mark: u8) -> Ordering {
    match (a.strip_prefix(&[mark]), b.strip_prefix(&[mark])) {
        (Some(after_a), Some(after_b)) => {
            (*a, *b) = (after_a, after_b);
            Ordering::Equal
        }
        (in_a, in_b) => in_b.is_some().cmp(&in_a.is_some()),
    }
}

fn take<'a>(text: &mut &'a [u8], wanted: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = text.iter().position(|b| !wanted(b)).unwrap_or(text.len());
    let (taken, rest) = text.split_at(end);
    *text = rest;
    taken
}

/// A number is newer than none, a longer one newer than a shorter.
fn numbers(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    let (first, second) = (take(a, u8::is_ascii_digit), take(b, u8::is_ascii_digit));
    let present = (!first.is_empty()).cmp(&!second.is_empty());
    let significant = |mut digits: &'_ [u8]| {
        take(&mut digits, |b| *b == b'0');
        digits.to_vec()
    };
    let (first, second) = (significant(first), significant(second));
    present.then(first.len().cmp(&second.len())).then(first.cmp(&second))
}

fn letters(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    take(a, u8::is_ascii_alphabetic).cmp(take(b, u8::is_ascii_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_as_in_the_specification() {
        let ascending = [
            "122.1",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-1",
            "123-1.1",
            "123^post1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124-1",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        for (a, b) in [("123_a", "123a"), ("0123", "123"), ("", "_"), ("a..b", "a..b")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
        assert_eq!(compare("", "~"), Ordering::Greater);
        assert_eq!(compare("arch-10.conf", "arch-9.conf"), Ordering::Greater);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn the_order_is_consistent(a in "[a0-2~^.é-]{0,6}", b in "[a0-2~^.é-]{0,6}") {
            proptest::prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            proptest::prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        }
    }
}
