//! The machine for people: facts in lines, then a tree by IOMMU group with the cards marked.

use std::fmt::Write as _;

use super::style::{Page, Tone};
use crate::document::{Gpu, Group, GroupDevice, InspectDocument};
use crate::host::gpu::Role;

/// The whole text.
pub fn render(document: &InspectDocument, page: &Page) -> String {
    let mut out = String::new();
    for (label, value) in facts(document) {
        if label == "Parameters" {
            let text = page.wrap(&value, 12);
            let _ = write!(
                out,
                "{} {}",
                Tone::Heading.paint(&format!("{label:<11}")),
                text.trim_start()
            );
            continue;
        }
        let _ = writeln!(
            out,
            "{} {}",
            Tone::Heading.paint(&format!("{label:<11}")),
            page.fit(&value, page.width.saturating_sub(12))
        );
    }
    let _ = writeln!(out, "\n{}", Tone::Heading.paint("Cards"));
    for gpu in &document.gpus {
        out.push_str(&card(gpu, page));
    }
    if document.gpus.is_empty() {
        out.push_str("  none\n");
    }
    if !document.iommu.groups.is_empty() {
        let _ = writeln!(out, "\n{}", Tone::Heading.paint("IOMMU groups"));
        for group in &document.iommu.groups {
            out.push_str(&group_lines(group, document, page));
        }
    }
    if !document.vfio_configuration.is_empty() {
        let _ = writeln!(out, "\n{}", Tone::Heading.paint("Configuration that touches vfio"));
        for line in &document.vfio_configuration {
            let _ = writeln!(out, "  {}:{}: {}", line.path, line.line, line.text);
        }
    }
    out.push_str(&unreadable(document, page));
    out
}

fn facts(document: &InspectDocument) -> Vec<(&'static str, String)> {
    let unknown = || "unknown".to_owned();
    let joined = |parts: Vec<Option<String>>| {
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { unknown() } else { parts.join(", ") }
    };
    let word = |value: &Option<&'static str>| value.map(str::to_owned);
    let firmware = &document.firmware;
    let iommu = &document.iommu;
    let state = match (iommu.enabled, iommu.off_because) {
        (Some(true), _) => format!("on, {} groups", iommu.groups.len()),
        (Some(false), Some("firmware")) => "off in the firmware, or there is none".to_owned(),
        (Some(false), Some("argument")) => "switched off by a kernel parameter".to_owned(),
        (Some(false), Some("kernel-default")) => "off: this kernel wants to be asked".to_owned(),
        (Some(false), Some("driver")) => "off: its driver made no groups".to_owned(),
        (Some(false), Some(_)) => "no such hardware".to_owned(),
        (Some(false), None) => "off".to_owned(),
        (None, _) => unknown(),
    };
    let mut facts = vec![
        (
            "System",
            joined(vec![
                document.os.name.clone(),
                document.kernel.release.as_ref().map(|r| format!("Linux {r}")),
            ]),
        ),
        ("Board", joined(vec![firmware.vendor.clone(), firmware.board.clone()])),
        (
            "Processor",
            document.cpu.as_ref().map_or_else(unknown, |cpu| {
                let virtualization =
                    cpu.virtualization.as_ref().and_then(|v| serde_json::to_value(v).ok());
                joined(vec![
                    cpu.model.clone(),
                    cpu.cores.map(|n| format!("{n} cores")),
                    cpu.threads.map(|n| format!("{n} threads")),
                    Some(
                        virtualization
                            .and_then(|v| v.as_str().map(str::to_owned))
                            .unwrap_or_else(|| "no virtualization flag".to_owned()),
                    ),
                ])
            }),
        ),
        (
            "IOMMU",
            joined(vec![
                word(&iommu.kind).or_else(|| Some("none described by the firmware".to_owned())),
                Some(state),
            ]),
        ),
        (
            "Boot",
            joined(vec![
                firmware.boot.map(|mode| format!("{mode:?}").to_uppercase()),
                firmware
                    .secure_boot
                    .map(|on| format!("Secure Boot {}", if on { "on" } else { "off" })),
                Some(format!("boot loader {}", document.bootloader.kind)),
                Some(format!("initramfs {}", document.initramfs.kind)),
            ]),
        ),
        ("Parameters", document.kernel.command_line.clone().unwrap_or_else(unknown)),
    ];
    if let Some(hypervisor) = &document.hypervisor {
        facts.insert(1, ("Guest of", format!("{hypervisor} hypervisor")));
    }
    facts
}

fn card(gpu: &Gpu, page: &Page) -> String {
    let role = match gpu.role {
        Role::Host => "host",
        Role::Candidate => "candidate",
        Role::Assigned => "assigned",
    };
    let mut marks = vec![
        role.to_owned(),
        gpu.driver.clone().map_or_else(|| "no driver".to_owned(), |d| format!("driver {d}")),
    ];
    if gpu.boot_display {
        marks.push("boot display".to_owned());
    }
    if !gpu.connected_outputs.is_empty() {
        marks.push(format!("monitor on {}", gpu.connected_outputs.join(", ")));
    }
    if gpu.integrated {
        marks.push("integrated".to_owned());
    }
    let name = page.fit(&format!("{} {}", gpu.address, gpu.name), page.width.saturating_sub(2));
    let tone = if gpu.role == Role::Host { Tone::Caution } else { Tone::Good };
    let mut out = format!("  {}\n    {}\n", tone.paint(&name), marks.join("; "));
    for function in gpu.functions.iter().skip(1) {
        let group = function.iommu_group.map_or_else(String::new, |id| format!(", group {id}"));
        let driver = function.driver.as_deref().unwrap_or("no driver");
        let line = format!("with {} {} ({driver}{group})", function.address, function.name);
        let _ = writeln!(out, "    {}", page.fit(&line, page.width.saturating_sub(4)));
    }
    out
}

fn group_lines(group: &Group, document: &InspectDocument, page: &Page) -> String {
    let kind = group.domain_type.as_ref().map_or_else(String::new, |kind| format!(" ({kind})"));
    let mut out = format!("{}{kind}\n", group.id);
    let (branch, end) = if page.lines { ("├─", "└─") } else { ("|-", "`-") };
    for (index, device) in group.devices.iter().enumerate() {
        let line = if index + 1 == group.devices.len() { end } else { branch };
        let mark = mark(device, document);
        let driver = device.driver.as_deref().unwrap_or("-");
        let text = format!(
            "{} [{}] {} {} ({driver})",
            device.address, device.class, device.id, device.name
        );
        let room = page.width.saturating_sub(4 + mark.len());
        let _ = writeln!(out, "{line} {}{}", page.fit(&text, room), Tone::Good.paint(mark));
    }
    for region in &group.direct_regions {
        let _ = writeln!(out, "   {}", Tone::Bad.paint(&format!("direct region {region}")));
    }
    out
}

fn mark(device: &GroupDevice, document: &InspectDocument) -> &'static str {
    let card =
        document.gpus.iter().find(|gpu| gpu.functions.iter().any(|f| f.address == device.address));
    match card.map(|gpu| gpu.role) {
        Some(Role::Host) => " <- host card",
        Some(Role::Candidate) => " <- candidate",
        Some(Role::Assigned) => " <- assigned",
        None => "",
    }
}

fn unreadable(document: &InspectDocument, page: &Page) -> String {
    if document.unreadable.is_empty() {
        return String::new();
    }
    if !page.verbose {
        return format!(
            "\n{} places could not be read; -v names them.\n",
            document.unreadable.len()
        );
    }
    let mut out = format!("\n{}\n", Tone::Heading.paint("Could not be read"));
    for place in &document.unreadable {
        let _ = writeln!(out, "  {}: {}", place.path, place.reason);
    }
    out
}
