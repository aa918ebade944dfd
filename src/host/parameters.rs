//! Kernel parameters as the boot loader's files have them: what the next boot will get.

use super::Host;
use super::boot::{Bootloader, BootloaderKind};
use super::once::TRIAL_SUFFIX;
use crate::config::assignments::{Assignments, Value, evaluate};
use crate::config::cmdline::{Cmdline, Parameter};
use crate::config::{MARK, NotUnderstood};

/// Names of entry files that start the machine as it was end so.
pub const FALLBACK_SUFFIX: &str = "-fallback";
/// The running kernel's command line.
const RUNNING: &str = "proc/cmdline";

/// One place that sets kernel parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// File, without leading slash.
    pub path: String,
    /// Name of the variable, or key of the entry.
    pub name: &'static str,
    /// The parameters there, in order.
    pub words: Vec<String>,
}

/// All such places of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// In the order in which their words reach the kernel.
    pub sources: Vec<Source>,
    /// Constructs that are not understood, with their file.
    pub problems: Vec<(String, NotUnderstood)>,
}

impl Configured {
    /// Reads them for the loader in use; empty where that one is not understood.
    pub fn read(host: &Host) -> Self {
        match host.bootloader.kind {
            BootloaderKind::Grub => grub(host),
            BootloaderKind::SystemdBoot | BootloaderKind::GrubBls => entries(host),
            BootloaderKind::Kernelstub => kernelstub(host),
            _ => running(host),
        }
    }

    /// True where the configuration was found and all of it is understood.
    pub fn is_known(&self) -> bool {
        let read = self.sources.iter().any(|source| source.path != RUNNING);
        read && self.problems.is_empty()
    }

    /// True where it is known, and no word stands for others that the boot loader puts in its
    /// place (`$kernelopts` in entries of Fedora and RHEL, from grubenv).
    pub fn is_complete(&self) -> bool {
        self.is_known() && !self.words().any(|word| word.contains('$'))
    }

    /// All parameters, in order.
    pub fn parameters(&self) -> impl DoubleEndedIterator<Item = Parameter<'_>> {
        self.words().map(Parameter::parse)
    }

    /// All words, in order.
    pub fn words(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.sources.iter().flat_map(|source| source.words.iter().map(String::as_str))
    }

    /// True where exactly this word is there.
    pub fn contains_word(&self, word: &str) -> bool {
        self.words().any(|known| known == word)
    }

    /// The file that has exactly this word.
    pub fn source_of(&self, word: &str) -> Option<&Source> {
        let files = self.sources.iter().filter(|source| source.path != RUNNING);
        files.into_iter().find(|source| source.words.iter().any(|known| known == word))
    }

    /// The value that counts for a module parameter: the last one.
    pub fn last_value(&self, key: &str) -> Option<&str> {
        self.parameters()
            .rev()
            .find(|parameter| parameter.is(key))
            .and_then(|parameter| parameter.value)
    }

    /// Parts of all comma-separated values of a key.
    pub fn list_value(&self, key: &str) -> Vec<&str> {
        let values = self.parameters().filter(|p| p.is(key)).filter_map(|p| p.value);
        values.flat_map(|value| value.split(',')).filter(|part| !part.is_empty()).collect()
    }
}

/// Debian's grub-mkconfig sources /etc/default/grub.d/*.cfg; others may not. Where the script
/// itself cannot be read, files of others in that directory say the same.
pub fn grub_reads_drop_ins(host: &Host) -> bool {
    let scripts = ["usr/sbin/grub-mkconfig", "usr/bin/grub-mkconfig"];
    let real = scripts
        .iter()
        .filter_map(|path| host.files.text(path))
        .find(|text| text.contains("grub_mkconfig_dir"));
    match real {
        Some(text) => text.contains("default/grub.d"),
        None => host.files.below("etc/default/grub.d").next().is_some(),
    }
}

/// Where the loader's own files are not read, what the running kernel got stands for them.
fn running(host: &Host) -> Configured {
    let words = words(host.command_line().unwrap_or_default());
    Configured {
        sources: vec![Source { path: RUNNING.to_owned(), name: "running kernel", words }],
        problems: Vec::new(),
    }
}

/// Files that grub-mkconfig sources, in its order.
pub fn grub_files(host: &Host) -> Vec<&str> {
    let mut paths = Vec::new();
    if host.files.has("etc/default/grub") {
        paths.push("etc/default/grub");
    }
    if grub_reads_drop_ins(host) {
        let drop_ins = host.files.below("etc/default/grub.d").map(|(path, _)| path);
        // `*` of the shell matches no hidden file.
        paths.extend(drop_ins.filter(|path| !path.contains("/.")));
    }
    paths
}

/// What a variable holds after all these files, and the file that decided.
///
/// # Errors
/// A construct that is not understood, with its file.
pub fn grub_value(
    host: &Host,
    name: &str,
) -> Result<Option<(String, Value)>, (String, NotUnderstood)> {
    let paths = grub_files(host);
    let parsed: Vec<Assignments> = paths
        .iter()
        .map(|path| Assignments::parse(host.files.text(path).unwrap_or_default()))
        .collect();
    let parsed: Vec<&Assignments> = parsed.iter().collect();
    match evaluate(&parsed, name) {
        Ok(located) => Ok(located.map(|located| (paths[located.file].to_owned(), located.value))),
        Err((file, problem)) => Err((paths[file].to_owned(), problem)),
    }
}

/// Where it is said that GRUB makes no recovery entries, or something is said that is not
/// understood.
pub fn grub_without_recovery(host: &Host) -> Option<(String, String)> {
    let name = "GRUB_DISABLE_RECOVERY";
    match grub_value(host, name) {
        Ok(Some((path, value))) if value.scalar() == "true" => Some((path, format!("{name}=true"))),
        Ok(_) => None,
        Err((path, problem)) => Some((path, problem.text)),
    }
}

fn grub(host: &Host) -> Configured {
    let mut configured = Configured::default();
    for name in ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"] {
        match grub_value(host, name) {
            Ok(Some((path, value))) => {
                configured.sources.push(Source { path, name, words: words(value.scalar()) });
            }
            Ok(None) => {}
            Err(problem) => configured.problems.push(problem),
        }
    }
    configured
}

fn words(line: &str) -> Vec<String> {
    Cmdline::parse(line).parameters().map(|parameter| parameter.word.to_owned()).collect()
}

/// The entry that runs now where the loader told it, else the default one, else the first.
fn entries(host: &Host) -> Configured {
    let Some(path) = current_entry(&host.bootloader, host) else {
        return Configured::default();
    };
    let text = host.files.text(&path).unwrap_or_default();
    let options = crate::config::bls::Entry::parse(text).options();
    Configured {
        sources: vec![Source { path, name: "options", words: words(&options) }],
        problems: Vec::new(),
    }
}

/// Path of the type-1 entry that this boot used, as far as it can be told. For an entry of
/// passthru's, which starts the machine as it was, the one that it was copied from.
pub fn current_entry(loader: &Bootloader, host: &Host) -> Option<String> {
    let dir = format!("{}/loader/entries", loader.loader_dir.as_deref()?);
    let text = |path: &str| host.files.text(path).unwrap_or_default();
    let all = host.files.below(&dir).map(|(path, _)| path);
    let (own, others): (Vec<&str>, Vec<&str>) = all.partition(|path| text(path).contains(MARK));
    let named = |id: &str| others.iter().copied().find(|path| entry_id(path) == id);
    let original = |path: &str| named(copied_from(&entry_id(path))?);
    let by_variable = || {
        let id = entry_id(host.firmware.efi.entry_selected.as_deref()?);
        let own = own.iter().find(|path| entry_id(path) == id);
        named(&id).or_else(|| original(own?))
    };
    let release = host.kernel.release.as_deref().unwrap_or_default();
    let spare = |path: &str| ["rescue", "fallback"].iter().any(|mark| path.contains(mark));
    let by_release = || {
        let fits = |path: &str| !release.is_empty() && path.contains(release) && !spare(path);
        others.iter().copied().find(|path| fits(&entry_name(path)))
    };
    let active = words(host.command_line().unwrap_or_default());
    let started = |path: &&str| {
        let words = words(&crate::config::bls::Entry::parse(text(path)).options());
        !words.is_empty() && words.iter().all(|word| active.contains(word))
    };
    let by_options = || {
        let other = others.iter().copied().find(started);
        other.or_else(|| original(own.iter().copied().find(started)?))
    };
    // After a change and before the reboot no entry is what the running kernel was started with.
    let root = |words: &[String]| words.iter().find(|word| word.starts_with("root=")).cloned();
    let by_root = || {
        let own_root = root(&active)?;
        let same = |path: &&str| {
            let options = crate::config::bls::Entry::parse(text(path)).options();
            !spare(&entry_name(path)) && root(&words(&options)).as_ref() == Some(&own_root)
        };
        let mut same = others.iter().copied().filter(same);
        same.next().filter(|_| same.next().is_none())
    };
    let found = by_variable().or_else(by_release).or_else(by_options).or_else(by_root);
    found.map(str::to_owned)
}

fn entry_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Id of the entry that one of ours was copied from (`name_beside`).
pub fn copied_from(id: &str) -> Option<&str> {
    let id = id.trim_start_matches('~');
    [FALLBACK_SUFFIX, TRIAL_SUFFIX].iter().find_map(|suffix| id.strip_suffix(suffix))
}

/// Name of an entry without boot counter and suffix, as the loader compares it.
pub fn entry_id(file: &str) -> String {
    let (name, _) = crate::config::bls::split_counter(&entry_name(file));
    name.strip_suffix(".conf").unwrap_or(&name).to_lowercase()
}

/// `user.kernel_options` of /etc/kernelstub/configuration.
fn kernelstub(host: &Host) -> Configured {
    let path = "etc/kernelstub/configuration";
    let parsed: Option<serde_json::Value> =
        host.files.text(path).and_then(|text| serde_json::from_str(text).ok());
    let options = parsed.as_ref().and_then(|json| json.pointer("/user/kernel_options")?.as_array());
    let Some(options) = options else {
        return Configured::default();
    };
    let words = options.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect();
    Configured {
        sources: vec![Source { path: path.to_owned(), name: "user.kernel_options", words }],
        problems: Vec::new(),
    }
}
