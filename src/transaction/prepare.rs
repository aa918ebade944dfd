//! Everything that can be known to fail is found before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use super::domain::ImageChange;
use super::draft::Draft;
use super::record::{Output, Record, Saved, Selection, TransactionId, VERSION};
use super::select::{in_the_way, selecting, with_block};
use super::store::{DIR, is_product};
use crate::error::Error;
use crate::host::{Host, booted};
use crate::sys::process::PATH;
use crate::sys::writer::{Obstacle, Writer};
use crate::sys::{Observed, Sysroot, now};
use crate::verify::Then;

/// Left free beside what is written: 16 MiB.
const MARGIN: u64 = 16 << 20;

/// Looks whether a draft can be carried out, and makes its record.
///
/// # Errors
/// Everything that stands in the way, in one error; nothing was written.
pub fn prepare(
    draft: &Draft,
    id: TransactionId,
    disk: &Writer,
    root: &Sysroot,
    host: &Host,
) -> Result<Record, Error> {
    let mut look = Look { disk, root, problems: Vec::new(), hints: BTreeSet::new() };
    let mut directories = BTreeSet::new();
    for change in &draft.changes {
        look.file(change.inside(), &change.before, &mut directories);
    }
    let live = root.is_live();
    let mut outputs = Vec::new();
    if live {
        for command in draft.commands.iter().chain(&selecting(draft)) {
            look.program(&command.argv);
        }
        if let Some(Selection::Select { trial, .. }) = &draft.selection {
            look.program(&trial.clear().argv);
            if let Some((problem, hint)) = in_the_way(trial, root) {
                look.problem(problem, &hint);
            }
        }
        outputs = look.outputs(draft);
        look.room(host, &mut outputs);
    }
    match draft.domain.as_ref().and_then(|domain| domain.image.as_ref()) {
        Some(ImageChange::Make { path, .. }) => {
            look.new_file(
                "disk image",
                path,
                "`--disk PATH` takes one that is there; take another name, or move it away.",
            );
            look.program(&["qemu-img".to_owned()]);
        }
        Some(ImageChange::WriteAnswers { path }) => {
            look.new_file("file", path, "Name another one with --out, or move it away.");
        }
        Some(ImageChange::Remove { .. } | ImageChange::RemoveAnswers { .. }) | None => {}
    }
    if !look.problems.is_empty() {
        let mut error = Error::new("this cannot be carried out, and nothing was changed");
        for problem in look.problems {
            error = error.cause(problem);
        }
        return Err(look.hints.into_iter().fold(error, Error::hint));
    }
    Ok(Record {
        version: VERSION,
        id,
        kind: draft.kind,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        begun: now(),
        then: Then::of(host, booted::boot_id(root).into_present()),
        gpu: draft.gpu,
        name: draft.name.clone(),
        changes: draft.changes.clone(),
        directories: directories.into_iter().map(|dir| format!("/{dir}")).collect(),
        leftovers: draft.leftovers.clone(),
        commands: draft.commands.clone(),
        outputs,
        selection: draft.selection.clone().map(|selection| with_block(selection, root)),
        domain: draft.domain.clone(),
        aims: draft.aims.clone(),
    })
}

struct Look<'a> {
    disk: &'a Writer,
    root: &'a Sysroot,
    problems: Vec<String>,
    hints: BTreeSet<String>,
}

impl Look<'_> {
    fn problem(&mut self, text: String, hint: &str) {
        self.problems.push(text);
        if !hint.is_empty() {
            self.hints.insert(hint.to_owned());
        }
    }

    /// The file is as it was planned from, and can be replaced.
    fn file(&mut self, path: &str, before: &Saved, directories: &mut BTreeSet<String>) {
        let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
        if !self.parents(parent, directories) {
            return;
        }
        if *before == Saved::Absent && self.disk.is_link(path) {
            let text = format!("/{path} is a symbolic link that leads nowhere");
            return self.problem(text, "A new file is never made behind a link: remove the link.");
        }
        let place = match self.disk.place(path) {
            Ok(place) => place,
            Err(error) => return self.problem(error.to_string(), ""),
        };
        if place.path.starts_with("nix/store/") {
            let text = format!("/{path} leads to /{}, which Nix made", place.path);
            return self
                .problem(text, "Change it where it is generated from, in the configuration.");
        }
        match self.disk.look(path) {
            Ok(found) if before.is(found.as_ref()) => {}
            Ok(_) => {
                let text = format!("/{path} was changed since the plan was made");
                return self
                    .problem(text, "Plan again: what is there now may need something else.");
            }
            Err(error) => return self.problem(error.to_string(), ""),
        }
        if let Some(obstacle) = self.disk.obstacle(&place) {
            self.obstacle(&format!("/{}", place.path), obstacle);
        }
    }

    /// A new image takes the place of nothing, in a directory that is there.
    fn new_file(&mut self, what: &str, path: &str, hint: &str) {
        if !is_product(path) {
            let hint = "Name a file outside of /etc, without `..`.";
            return self.problem(format!("the {what} {path} cannot be there"), hint);
        }
        let inside = path.trim_start_matches('/');
        let parent = inside.rsplit_once('/').map_or("", |(dir, _)| dir);
        match self.disk.meta(inside) {
            Ok(None) if !self.disk.is_link(inside) => {}
            Ok(_) => return self.problem(format!("the {what} {path} exists already"), hint),
            Err(error) => return self.problem(error.to_string(), ""),
        }
        match self.disk.dir_obstacle(parent) {
            Ok(None) => {}
            Ok(Some(obstacle)) => self.obstacle(&format!("/{parent}"), obstacle),
            Err(error) => {
                let hint = "libvirt makes /var/lib/libvirt/images; is libvirt installed?";
                self.problem(error.to_string(), hint);
            }
        }
    }

    /// Notes the directories that have to be made, and whether the first that is there can be
    /// written; false where it cannot.
    fn parents(&mut self, dir: &str, directories: &mut BTreeSet<String>) -> bool {
        let mut missing = Vec::new();
        let mut at = dir;
        loop {
            match self.disk.meta(at) {
                Ok(Some(_)) => break,
                Ok(None) => missing.push(at.to_owned()),
                Err(error) => {
                    self.problem(error.to_string(), "");
                    return false;
                }
            }
            at = at.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        if missing.is_empty() {
            return true;
        }
        match self.disk.dir_obstacle(at) {
            Ok(None) => directories.extend(missing),
            Ok(Some(obstacle)) => self.obstacle(&format!("/{at}"), obstacle),
            Err(error) => self.problem(error.to_string(), ""),
        }
        false
    }

    fn obstacle(&mut self, path: &str, obstacle: Obstacle) {
        let (what, hint) = match obstacle {
            Obstacle::ReadOnly if path.starts_with("/usr/") => (
                "is on a filesystem that is mounted read-only",
                "The distribution keeps /usr as an image that is not edited, so passthru cannot put its part there. Use another generator of initramfs images, or a card that ids tell apart.",
            ),
            Obstacle::ReadOnly => (
                "is on a filesystem that is mounted read-only",
                "Is this a snapshot, or did an error of the disk make it read-only? `findmnt` and `dmesg` tell. Boot the writable system, or remount it.",
            ),
            Obstacle::NoPermission => ("may not be written by this user", "Run it as root."),
            Obstacle::Immutable => (
                "has the attribute `i` or `a`, so nobody may replace it",
                "`lsattr` shows it, `chattr -i` takes it away; look first who set it.",
            ),
            Obstacle::OpenDirectory => (
                "is in a directory that everybody may write to",
                "Take that away (`chmod o-w`): a link there could lead anywhere.",
            ),
        };
        let text = format!("{path} {what}");
        if !self.problems.contains(&text) {
            self.problem(text, hint);
        }
    }

    fn program(&mut self, argv: &[String]) {
        let Some(program) = argv.first() else { return };
        let there = |path: String| {
            self.disk.meta(&path).is_ok_and(|meta| meta.is_some_and(|meta| meta.mode & 0o111 != 0))
        };
        let found = if program.starts_with('/') {
            there(program.trim_start_matches('/').to_owned())
        } else {
            PATH.iter().any(|dir| there(format!("{dir}/{program}")))
        };
        if !found {
            self.problem(
                format!("the program {program} is not there, or not executable"),
                "Install the package that it belongs to.",
            );
        }
    }

    /// The files that the commands write, as they are now. A pattern stands for what it matches
    /// now; a plain path also for a file that is not there yet.
    fn outputs(&mut self, draft: &Draft) -> Vec<Output> {
        let mut paths = BTreeSet::new();
        let selecting = selecting(draft);
        let commands = draft.commands.iter().chain(&selecting);
        for pattern in commands.flat_map(|command| &command.writes) {
            let inside = pattern.trim_start_matches('/');
            let Some((dir, name)) = inside.rsplit_once('/') else { continue };
            match name.split_once('*') {
                None => {
                    paths.insert(inside.to_owned());
                }
                Some((start, end)) => {
                    let names = match self.root.list(dir) {
                        Observed::Present(names) => names,
                        Observed::Absent => Vec::new(),
                        Observed::Unreadable(reason) => {
                            let text = format!("/{dir} cannot be listed: {reason}");
                            self.problem(text, "What is written there could not be kept before.");
                            continue;
                        }
                    };
                    let fits = |name: &&String| {
                        name.len() >= start.len() + end.len()
                            && name.starts_with(start)
                            && name.ends_with(end)
                    };
                    paths.extend(names.iter().filter(fits).map(|name| format!("{dir}/{name}")));
                }
            }
            if let Ok(Some(obstacle)) = self.disk.dir_obstacle(dir) {
                self.obstacle(&format!("/{dir}"), obstacle);
            }
        }
        // What a plan changes itself is kept with the change.
        paths.retain(|path| !draft.changes.iter().any(|change| change.inside() == path));
        let state = |path: &String| match self.disk.meta(path) {
            Ok(None) => Some(Saved::Absent),
            Ok(Some(meta)) if meta.kind == crate::sys::FileKind::File => Some(Saved::Present {
                digest: String::new(),
                mode: meta.mode,
                uid: meta.uid,
                gid: meta.gid,
            }),
            _ => None,
        };
        let kept = paths
            .iter()
            .filter_map(|path| Some(Output { path: format!("/{path}"), before: state(path)? }));
        kept.collect()
    }

    /// A generator writes the new image beside the old one; what is kept needs room too.
    fn room(&mut self, host: &Host, outputs: &mut [Output]) {
        let mut largest: BTreeMap<&str, u64> = BTreeMap::new();
        let mut all = 0;
        for output in outputs.iter() {
            let size = match self.disk.meta(output.path.trim_start_matches('/')) {
                Ok(Some(meta)) => meta.size,
                _ => 0,
            };
            all += size;
            let mounts = host.boot_space.iter().map(|(point, _)| point.as_str());
            let inside = mounts.filter(|point| {
                *point == "/" || output.path.strip_prefix(point).is_some_and(|r| r.starts_with('/'))
            });
            if let Some(point) = inside.max_by_key(|point| point.len()) {
                let largest = largest.entry(point).or_default();
                *largest = size.max(*largest);
            }
        }
        for (point, size) in largest {
            let space = self.root.space(point.trim_start_matches('/'));
            let Observed::Present(space) = space else { continue };
            // The new image holds what the old one does, and the modules of vfio-pci.
            let needed = size + size / 10 + MARGIN;
            if space.free < needed {
                self.problem(
                    format!(
                        "{point} has {} MiB free, and a new image beside the old one needs {} MiB",
                        space.free >> 20,
                        needed >> 20
                    ),
                    "Remove kernels that are not used any more, with the package manager.",
                );
            }
        }
        let state = self.root.space(DIR.rsplit_once('/').map_or("", |(dir, _)| dir));
        if state.present().is_some_and(|space| space.free < all + 2 * MARGIN) {
            for output in outputs {
                if output.before != Saved::Absent {
                    output.before = Saved::NotKept;
                }
            }
        }
    }
}
