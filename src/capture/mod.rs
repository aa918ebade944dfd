//! A machine as one text file: what was looked at while it was read, with private data masked.

mod mask;

use crate::host::Host;
use crate::host::rom::Probe;
use crate::sys::{Sysroot, Tree};
use mask::Mask;

/// Reads the machine, keeps everything that was seen, and masks it.
pub fn capture(root: &Sysroot, probe: Probe) -> Tree {
    root.start_recording();
    let mut host = Host::read(root, probe);
    host.read_revisions(root);
    let recorded = root.take_recording().unwrap_or_default().into_tree();
    let mut tree = Mask::new(names(root)).apply(&recorded);
    tree.header = match root.tree() {
        Some(tree) => tree.header.clone(),
        None => header(&host),
    };
    tree
}

/// Names of this machine and of its users; they are looked for in texts and not recorded.
fn names(root: &Sysroot) -> mask::Names {
    let host = root
        .line("proc/sys/kernel/hostname")
        .into_present()
        .or_else(|| root.line("etc/hostname").into_present());
    let passwd = root.text("etc/passwd").into_present().unwrap_or_default();
    let users = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?.parse::<u32>().ok()?);
        (1000..60000).contains(&id).then(|| name.to_owned())
    });
    let release = root.line("proc/sys/kernel/osrelease").into_present().unwrap_or_default();
    let os = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| root.text(path).into_present())
        .unwrap_or_default();
    mask::Names { host, users: users.collect(), system: format!("{release}\n{os}") }
}

fn header(host: &Host) -> Vec<String> {
    let board = [&host.firmware.vendor, &host.firmware.board]
        .into_iter()
        .flatten()
        .cloned()
        .collect::<Vec<_>>();
    let cards = host.gpus.cards.iter().filter_map(|gpu| host.device(gpu.address));
    let mut lines = vec![
        format!("Board: {}", if board.is_empty() { "unknown".to_owned() } else { board.join(" ") }),
        format!("System: {}", host.os.name.as_deref().unwrap_or("unknown")),
        format!("Kernel: {}", host.kernel.release.as_deref().unwrap_or("unknown")),
    ];
    lines.extend(cards.map(|device| format!("Card: {}", host.describe(device))));
    lines.push(
        "Recorded by passthru capture; serial numbers, MAC addresses, UUIDs and names are masked."
            .to_owned(),
    );
    lines
}
