//! Takes out of a file exactly the words that an edit put there, whatever else has changed in it
//! since, and puts back those that the edit took away.

use super::assignments::Assignments;
use super::bls::Entry;
use super::cmdline::Cmdline;

/// How the words of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Shell assignments; words stand in these variables.
    Assignments(&'static [&'static str]),
    /// A type-1 boot entry; words stand in its `options`.
    Entry,
    /// Kernel parameters on one line.
    CommandLine,
}

impl Form {
    /// The form of a file that plans edit; `None` for any other file.
    pub fn of(path: &str) -> Option<Self> {
        let path = path.trim_start_matches('/');
        if path == "etc/default/grub" || path.starts_with("etc/default/grub.d/") {
            Some(Self::Assignments(&["GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX"]))
        } else if path == "etc/mkinitcpio.conf" {
            Some(Self::Assignments(&["MODULES", "HOOKS", "FILES"]))
        } else if path == "etc/kernel/cmdline" {
            Some(Self::CommandLine)
        } else if path.contains("loader/entries/") {
            Some(Self::Entry)
        } else {
            None
        }
    }

    /// The text as it is now without what the edit from `before` to `after` did; `None` where a
    /// construct in it is not understood.
    pub fn take_out(self, before: &str, after: &str, now: &str) -> Option<String> {
        match self {
            Self::Assignments(names) => names.iter().try_fold(now.to_owned(), |text, name| {
                let words = |text: &str| -> Option<Vec<String>> {
                    let value = Assignments::parse(text).value(name).ok()?;
                    Some(value.map_or_else(Vec::new, |value| owned(value.words())))
                };
                let (gone, back) = difference(&words(before)?, &words(after)?);
                let file = Assignments::parse(&text).remove_words(name, &refs(&gone)).ok()?;
                let file = if back.is_empty() {
                    file
                } else {
                    file.append_words(name, &refs(&back)).ok()?
                };
                Some(file.render().to_owned())
            }),
            Self::Entry => {
                let words = |text: &str| line_words(&Entry::parse(text).options());
                let (gone, back) = difference(&words(before), &words(after));
                let entry = Entry::parse(now).remove_options(&refs(&gone));
                Some(entry.add_options(&refs(&back)).ok()?.render().to_owned())
            }
            Self::CommandLine => {
                let (gone, back) = difference(&line_words(before), &line_words(after));
                let line = Cmdline::parse(now).remove(&refs(&gone));
                Some(line.add(&refs(&back)).ok()?.render().to_owned())
            }
        }
    }
}

fn line_words(line: &str) -> Vec<String> {
    Cmdline::parse(line).parameters().map(|parameter| parameter.word.to_owned()).collect()
}

fn owned(words: Vec<&str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Words that only the second list has, and words that only the first has.
fn difference(before: &[String], after: &[String]) -> (Vec<String>, Vec<String>) {
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|word| !b.contains(word)).cloned().collect()
    };
    (only(after, before), only(before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_words_go() {
        let cases = [
            (
                "/etc/default/grub",
                "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=off\"\n",
                "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet iommu=pt\"\n",
                "# mine\nGRUB_CMDLINE_LINUX_DEFAULT=\"splash quiet iommu=pt debug\"\n",
                "# mine\nGRUB_CMDLINE_LINUX_DEFAULT=\"splash quiet debug intel_iommu=off\"\n",
            ),
            (
                "/etc/mkinitcpio.conf",
                "MODULES=(btrfs)\nHOOKS=(base udev)\n",
                "MODULES=(vfio_pci btrfs)\nHOOKS=(base udev passthru)\n",
                "MODULES=(vfio_pci btrfs xe)\nHOOKS=(base systemd passthru fsck)\n",
                "MODULES=(btrfs xe)\nHOOKS=(base systemd fsck)\n",
            ),
            (
                "/boot/loader/entries/arch.conf",
                "title Arch\noptions rw quiet\n",
                "title Arch\noptions rw quiet iommu=pt\n",
                "title My Arch\noptions rw iommu=pt loglevel=3\n",
                "title My Arch\noptions rw loglevel=3\n",
            ),
            ("/etc/kernel/cmdline", "rw quiet\n", "rw quiet iommu=pt\n", "rw iommu=pt\n", "rw\n"),
        ];
        for (path, before, after, now, wanted) in cases {
            let form = Form::of(path).unwrap();
            assert_eq!(form.take_out(before, after, now).as_deref(), Some(wanted), "{path}");
        }
        assert_eq!(Form::of("/etc/modprobe.d/00-passthru.conf"), None);
    }

    #[test]
    fn a_construct_that_is_not_understood_is_left_alone() {
        let form = Form::of("/etc/default/grub").unwrap();
        let name = "GRUB_CMDLINE_LINUX_DEFAULT";
        let now = format!("{name}=\"$(cat /x) iommu=pt\"\n");
        let before = format!("{name}=\"quiet\"\n");
        let after = format!("{name}=\"quiet iommu=pt\"\n");
        assert_eq!(form.take_out(&before, &after, &now), None);
    }
}
