//! /proc/mounts and /etc/fstab: what is mounted where.
//!
//! Both have the fields of fstab(5); blanks and backslashes inside a field are
//! written as octal escapes (`mangle` in the kernel's fs/proc_namespace.c).

/// One mounted or mountable file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Device, `UUID=...`, or any other source.
    pub source: String,
    /// Where it is mounted, unescaped.
    pub target: String,
    /// File system type.
    pub fstype: String,
    /// Mount options in order.
    pub options: Vec<String>,
    /// Line number, from 1.
    pub line: usize,
}

impl Mount {
    /// Whether exactly this option is set.
    pub fn has_option(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }

    /// The value of `key=value` among the options; the last one counts.
    pub fn option(&self, key: &str) -> Option<&str> {
        let pairs = self.options.iter().rev().filter_map(|own| own.split_once('='));
        pairs.into_iter().find(|(own, _)| *own == key).map(|(_, value)| value)
    }
}

/// Reads all lines that have at least source, target and type.
pub fn parse(text: &str) -> Vec<Mount> {
    let lines = text.lines().enumerate();
    lines.filter_map(|(index, line)| mount(line, index + 1)).collect()
}

/// The mount that holds `path`: the longest target above it, the latest of equals,
/// since a later mount covers an earlier one.
pub fn holding<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a Mount> {
    let above = |mount: &&Mount| {
        let target = mount.target.trim_end_matches('/');
        let below = path.strip_prefix(target);
        mount.target.starts_with('/')
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    mounts.iter().filter(above).max_by_key(|mount| mount.target.trim_end_matches('/').len())
}

fn mount(line: &str, number: usize) -> Option<Mount> {
    let line = line.trim_start_matches([' ', '\t']);
    if line.starts_with('#') {
        return None;
    }
    let mut fields = line.split([' ', '\t', '\r']).filter(|field| !field.is_empty()).map(unescape);
    Some(Mount {
        source: fields.next()?,
        target: fields.next()?,
        fstype: fields.next()?,
        options: fields.next().map_or_else(Vec::new, |options| {
            let options = options.split(',').filter(|option| !option.is_empty());
            options.map(str::to_owned).collect()
        }),
        line: number,
    })
}

fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'\\').then(|| after.first_chunk::<3>()).flatten().and_then(octal);
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    u8::from_str_radix(text, 8).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "/dev/nvme0n1p2 / ext4 rw,relatime,errors=remount-ro 0 0\n\
        tmpfs\t/my\\040files\\134 tmpfs rw 0 0\n# /dev/x /x ext4\n/dev/sda1 /boot vfat rw\n\
        /dev/sda2 /boot vfat ro\nbroken\n/dev/s /boot2 ext4\n";

    #[test]
    fn escapes_are_undone() {
        let mounts = parse(MOUNTS);
        assert_eq!(mounts[1].target, "/my files\\");
        assert_eq!(unescape("\\9\\04\\0a\\400\\+12"), "\\9\\04\\0a\\400\\+12");
        assert_eq!((mounts.len(), mounts[2].line), (5, 4));
    }

    #[test]
    fn options_are_looked_up_whole() {
        let root = &parse(MOUNTS)[0];
        assert!(root.has_option("rw") && !root.has_option("r"));
        assert_eq!(root.option("errors"), Some("remount-ro"));
    }

    #[test]
    fn a_path_is_held_by_the_deepest_and_latest_mount() {
        let mounts = parse(MOUNTS);
        let device = |path| holding(&mounts, path).map(|m| m.source.as_str());
        assert_eq!(device("/boot/vmlinuz"), Some("/dev/sda2"));
        assert_eq!(device("/boots"), Some("/dev/nvme0n1p2"));
        assert_eq!(device("/"), Some("/dev/nvme0n1p2"));
        assert_eq!(device("relative"), None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_read(text in "(?s).{0,80}", octal in "[\\\\0-9a é\t]{0,20}") {
            let _ = (parse(&text), unescape(&octal));
        }
    }
}
