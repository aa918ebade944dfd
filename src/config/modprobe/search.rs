//! All modprobe.d files together.

use super::{Directive, Line, ModuleName, parse};
use crate::config::cmdline::Parameter;

/// Directories in the order of precedence (modprobe.d(5); kmod's default_config_paths).
const DIRECTORIES: [&str; 5] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];

/// What modprobe reads, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModprobeConfig {
    files: Vec<(String, Vec<Line>)>,
    ignored: Vec<Ignored>,
}

/// A file that modprobe does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its path.
    pub path: String,
    /// The file of the same name that takes its place; none if the name does not count.
    pub masked_by: Option<String>,
}

/// Something said in one line of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<'a, T> {
    /// Path of the file.
    pub path: &'a str,
    /// Line number, from 1.
    pub line: usize,
    /// What is said there.
    pub what: T,
}

/// Every `ids=` given to vfio-pci.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VfioIds<'a> {
    /// In the order modprobe passes them.
    pub all: Vec<Placed<'a, &'a str>>,
}

impl<'a> VfioIds<'a> {
    /// The one that counts: all `options` lines become one argument list, and a
    /// later value of a string parameter replaces the earlier (`param_set_copystring`
    /// in the kernel's kernel/params.c). Parameters from the kernel command line
    /// come after these.
    pub fn effective(&self) -> Option<Placed<'a, &'a str>> {
        self.all.last().copied()
    }
}

impl ModprobeConfig {
    /// Takes paths and texts in any order.
    pub fn from_files(files: Vec<(String, String)>) -> Self {
        let (mut files, ignored): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(path, _)| counts(base_name(path)));
        let mut config = ModprobeConfig::default();
        config
            .ignored
            .extend(ignored.into_iter().map(|(path, _)| Ignored { path, masked_by: None }));
        files.sort_by(|(a, _), (b, _)| (base_name(a), rank(a)).cmp(&(base_name(b), rank(b))));
        for (path, text) in files {
            let first = config.files.last().map(|(first, _)| first);
            match first.filter(|first| base_name(first) == base_name(&path)) {
                // /lib and /usr/lib are one directory on a merged-/usr system.
                Some(first) => {
                    config.ignored.push(Ignored { masked_by: Some(first.clone()), path })
                }
                None => config.files.push((path, parse(&text))),
            }
        }
        config
    }

    /// Files that modprobe does not read.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    fn select<'a, T>(&'a self, pick: impl Fn(&'a Directive) -> Option<T>) -> Vec<Placed<'a, T>> {
        let mut found = Vec::new();
        for (path, lines) in &self.files {
            for Line { line, directive } in lines {
                let (path, line) = (path.as_str(), *line);
                found.extend(pick(directive).map(|what| Placed { path, line, what }));
            }
        }
        found
    }

    /// Every directive, in order.
    pub fn directives(&self) -> Vec<Placed<'_, &Directive>> {
        self.select(Some)
    }

    /// Parameters for the module, in the order modprobe passes them.
    pub fn options(&self, module: &str) -> Vec<Placed<'_, &[String]>> {
        self.select(|directive| match directive {
            Directive::Options { module: own, params } if own.is(module) => Some(params.as_slice()),
            _ => None,
        })
    }

    /// The `ids` of vfio-pci.
    pub fn vfio_ids(&self) -> VfioIds<'_> {
        let mut all = Vec::new();
        for Placed { path, line, what } in self.options("vfio_pci") {
            let params = what.iter().map(|param| Parameter::parse(param)).filter(|p| p.is("ids"));
            let values = params.filter_map(|param| param.value);
            all.extend(values.map(|what| Placed { path, line, what }));
        }
        VfioIds { all }
    }

    /// The command run in place of loading the module: the first that fits
    /// (`kmod_module_get_install_commands`).
    pub fn install_line(&self, module: &str) -> Option<Placed<'_, &str>> {
        let fitting = self.select(|directive| match directive {
            Directive::Install { module: own, command } if own.covers(module) => {
                Some(command.as_str())
            }
            _ => None,
        });
        fitting.into_iter().next()
    }

    /// The softdep directives that fit the module, in order. modprobe obeys the
    /// first one only (`kmod_module_get_softdeps`).
    pub fn softdeps(&self, module: &str) -> Vec<Placed<'_, &Directive>> {
        self.select(|directive| match directive {
            Directive::Softdep { module: own, .. } if own.covers(module) => Some(directive),
            _ => None,
        })
    }

    /// Whether loading the module first loads `before`, by the softdep that counts.
    pub fn loads_before(&self, before: &str, module: &str) -> bool {
        match self.softdeps(module).first().map(|first| first.what) {
            Some(Directive::Softdep { pre, .. }) => pre.iter().any(|own| own.is(before)),
            _ => false,
        }
    }

    /// Where the module's aliases are switched off.
    pub fn blacklisted(&self, module: &str) -> Vec<Placed<'_, &ModuleName>> {
        self.select(|directive| match directive {
            Directive::Blacklist { module: own } if own.is(module) => Some(own),
            _ => None,
        })
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `conf_files_filter_out` in libkmod/libkmod-config.c.
fn counts(name: &str) -> bool {
    name.len() > ".conf".len() && name.ends_with(".conf") && !name.starts_with('.')
}

fn rank(path: &str) -> usize {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let directory = directory.trim_start_matches('/');
    DIRECTORIES
        .iter()
        .position(|own| own.trim_start_matches('/') == directory)
        .unwrap_or(DIRECTORIES.len())
}
