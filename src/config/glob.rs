//! Shell wildcards as systemd-boot reads them (`efi_fnmatch` in systemd's
//! src/boot/efi-string.c): `*`, `?`, `[...]` with ranges, backslash escapes, no
//! negation. libkmod matches module names with fnmatch(3), which agrees on these.

/// One element of a pattern.
enum Piece {
    Exactly(char),
    Any,
    Many,
    OneOf(Vec<(char, char)>),
}

/// Whether the whole of `text` matches `pattern`; an unfinished pattern matches nothing.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some(pieces) = pieces(pattern) else {
        return false;
    };
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pieces.get(p) {
            Some(Piece::Many) => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some(piece) if text.get(t).is_some_and(|c| piece.accepts(*c)) => {
                p += 1;
                t += 1;
                continue;
            }
            None if t == text.len() => return true,
            _ => {}
        }
        match retry {
            Some((after_star, from)) if from < text.len() => {
                p = after_star;
                t = from + 1;
                retry = Some((after_star, t));
            }
            _ => return false,
        }
    }
}

impl Piece {
    fn accepts(&self, c: char) -> bool {
        match self {
            Piece::Exactly(own) => *own == c,
            Piece::Any => true,
            Piece::Many => false,
            Piece::OneOf(ranges) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)),
        }
    }
}

fn pieces(pattern: &str) -> Option<Vec<Piece>> {
    let mut chars = pattern.chars().peekable();
    let mut pieces = Vec::new();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' => Piece::Many,
            '?' => Piece::Any,
            '\\' => Piece::Exactly(chars.next()?),
            '[' => Piece::OneOf(set(&mut chars)?),
            other => Piece::Exactly(other),
        });
    }
    Some(pieces)
}

fn set(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Vec<(char, char)>> {
    let mut ranges: Vec<(char, char)> = Vec::new();
    let mut low: Option<char> = None;
    loop {
        let first = ranges.is_empty();
        let c = chars.next()?;
        let closes_range = c == '-' && low.is_some() && chars.peek() != Some(&']');
        if c == ']' && !first {
            return Some(ranges);
        } else if closes_range {
            let mut high = chars.next()?;
            if high == '\\' {
                high = chars.next()?;
            }
            ranges.push((low?, high));
            // Ranges do not chain: [a-c-f] is a-c, '-', 'f'.
            low = None;
        } else {
            let c = if c == '\\' { chars.next()? } else { c };
            ranges.push((c, c));
            low = Some(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_match_as_in_systemd_boot() {
        for (pattern, text) in [
            ("arch*", "arch-linux.conf"),
            ("*", ""),
            ("a?c", "abc"),
            ("*-[0-9]*.conf", "x-6.1.conf"),
            ("[a-]", "-"),
            ("[]a]", "]"),
            ("a\\*", "a*"),
            ("*a*b*c", "xxaybzc"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("arch", "arch-linux.conf"),
            ("a?c", "ac"),
            ("[a-", "a"),
            ("a\\", "a"),
            ("*a*b*c", "xxaybz"),
            ("[0-9]", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
