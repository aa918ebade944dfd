//! Domains as they are found in the field, tuned and back.

use super::*;
use crate::host::resources::{HugePages, MemoryNode};
use crate::sys::Observed;
use crate::vm::attach::attach;
use crate::vm::detach::detach;
use crate::vm::domain::Domain;
use crate::vm::note::Note;
use crate::vm::tests::{DOMAINS, card, wish};
use crate::vm::tune::{Changed, Refused, Wish, off, pages, tune};

const GIB: u64 = 1 << 30;

fn text(name: &str) -> &'static str {
    DOMAINS.iter().find(|(known, ..)| *known == name).expect("it is there").1
}

/// The recorded server with memory in its nodes, some of it as huge pages in node 3.
fn epyc() -> Resources {
    let mut epyc = read(EPYC);
    for node in &mut epyc.nodes {
        node.memory = Observed::Present(32 * GIB);
        let free = if node.number == 3 { 16 << 9 } else { 0 };
        node.huge_pages = vec![
            HugePages { kibibytes: 2048, all: free, free },
            HugePages { kibibytes: 1 << 20, all: 20, free: 15 },
        ];
    }
    epyc
}

fn on(resources: &Resources, card: Option<u32>) -> Target<'_> {
    Target { resources, card, vendor: CpuVendor::Amd }
}

fn cpus(count: u32) -> Wish {
    Wish { cpus: Some(count), huge_pages: false }
}

fn tuned(text: &str, wish: Wish, target: &Target<'_>) -> Result<Changed, Refused> {
    tune(&Domain::parse(text).expect("a domain"), wish, target)
}

fn untuned(text: &str) -> Result<Changed, Refused> {
    off(&Domain::parse(text).expect("a domain"))
}

#[test]
fn every_domain_is_tuned_and_gets_its_bytes_back() {
    let epyc = epyc();
    let (here, there) = (on(&epyc, Some(3)), on(&epyc, Some(5)));
    let mut refused = Vec::new();
    for (name, text, _) in DOMAINS {
        let done = match tuned(text, cpus(8), &here) {
            Ok(done) => done,
            Err(error) => {
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        let domain = Domain::parse(&done.text).expect(name);
        assert_eq!(domain.root.text_at(&["vcpu"]), Some("8"), "{name}");
        let pins = domain.root.child("cputune").map_or(0, |all| all.children.len());
        assert!(pins > 8, "{name}: {pins}");
        let back = untuned(&done.text).expect(name);
        assert_eq!(back.remarks, [""; 0], "{name}");
        assert!(back.text == *text, "{name}: {}", back.text);
        let again = tuned(&done.text, cpus(8), &here).expect(name);
        assert!(again.text == done.text, "{name}: tuning again is the same");
        let other = tuned(&done.text, cpus(2), &there).expect(name).text;
        assert!(other == tuned(text, cpus(2), &there).expect(name).text, "{name}");
    }
    assert_eq!(
        refused,
        [
            "nvme-hostdev: it has a choice of processors (<vcpu>) that passthru did not put there",
            "tuned: it has pins (<cputune>) that passthru did not put there",
        ]
    );
}

#[test]
fn the_card_and_the_pins_come_and_go_in_any_order() {
    let (epyc, card) = (epyc(), card());
    let target = on(&epyc, Some(3));
    for name in ["guide-hidden", "empty-metadata", "foreign-metadata", "one-line"] {
        let text = text(name);
        let domain = Domain::parse(text).expect(name);
        let with_card = attach(&domain, &wish(&card)).expect(name);
        let both = tuned(&with_card, cpus(8), &target).expect(name).text;
        let domain = Domain::parse(&both).expect(name);
        let pins_alone = detach(&domain, &Note::of(&domain).attached[0]).text;
        assert!(untuned(&pins_alone).expect(name).text == text, "{name}");
        let card_alone = untuned(&both).expect(name).text;
        assert!(card_alone == with_card, "{name}");
    }
}

#[test]
fn the_whole_change_of_a_machine_on_a_server() {
    let text = text("virt-install-win11");
    let epyc = epyc();
    let asked = Wish { huge_pages: true, ..cpus(6) };
    let done = tuned(text, asked, &on(&epyc, Some(3))).expect("tuned");
    let diff = similar::TextDiff::from_lines(text, &done.text);
    insta::assert_snapshot!(diff.unified_diff().context_radius(1).to_string());
    assert!(untuned(&done.text).expect("untuned").text == text);
    assert_eq!(
        done.remarks,
        [
            "Without <feature policy='require' name='topoext'/> in <cpu>, Windows sees the threads of AMD's cores as cores."
        ]
    );
}

#[test]
fn memory_that_a_node_does_not_have_is_not_bound_to_it() {
    let mut epyc = epyc();
    let reserved = vec![HugePages { kibibytes: 1 << 20, all: 8, free: 8 }];
    let few = "NUMA node 3 has 12288 MiB of memory, and the machine takes 16384: a part of it will be farther away, so its memory is not bound to the node.";
    let unread =
        "How much memory NUMA node 3 has could not be read, so the machine's is not bound to it.";
    for (memory, says) in [(Observed::Present(20 * GIB), few), (Observed::Absent, unread)] {
        epyc.nodes[3] = MemoryNode { number: 3, memory, huge_pages: reserved.clone() };
        let done = tuned(text("virt-install-win11"), cpus(6), &on(&epyc, Some(3))).expect("tuned");
        assert!(!done.text.contains("<numatune>"), "{}", done.text);
        assert_eq!(done.remarks[0], says);
    }
}

#[test]
fn huge_pages_have_to_be_reserved() {
    let text = text("virt-install-win11");
    let asked = Wish { huge_pages: true, ..cpus(6) };
    let of = |resources: &Resources, card| match tuned(text, asked, &on(resources, card)) {
        Ok(done) => done.tuning.and_then(|tuning| tuning.huge_pages).unwrap_or(0).to_string(),
        Err(Refused::Pages(refused)) => match &refused {
            pages::Refused::Few { reserve, .. } => format!("{refused}\n{reserve}"),
            pages::Refused::None(_) => refused.to_string(),
        },
        Err(other) => other.to_string(),
    };
    let mut epyc = epyc();
    assert_eq!(of(&epyc, Some(3)), "2048");
    epyc.nodes[3].huge_pages[1].free = 16;
    assert_eq!(of(&epyc, Some(3)), "1048576", "the larger ones");
    assert_eq!(
        of(&epyc, Some(4)),
        "16384 MiB of memory are not free as huge pages on NUMA node 4: 8192 pages of 2 MiB are needed, 0 are free; 16 pages of 1 GiB are needed, 15 are free\n`echo 8192 > /sys/devices/system/node/node4/hugepages/hugepages-2048kB/nr_hugepages`, as root, and for every boot hugepagesz=2048K hugepages=4:8192 on the kernel command line. Or: hugepagesz=1G hugepages=4:21 on the kernel command line."
    );
    let mut desktop = two_ccds([32, 32], "");
    assert_eq!(of(&desktop, None), "this kernel offers no huge pages");
    desktop.huge_pages = vec![HugePages { kibibytes: 2048, all: 100, free: 60 }];
    assert_eq!(
        of(&desktop, None),
        "16384 MiB of memory are not free as huge pages: 8192 pages of 2 MiB are needed, 60 are free\n`echo 8232 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages`, as root, and for every boot hugepagesz=2048K hugepages=8232 on the kernel command line."
    );
    desktop.huge_pages[0].free = 8192;
    assert_eq!(of(&desktop, None), "2048");
}

#[test]
fn what_somebody_arranged_is_not_changed() {
    let ccds = two_ccds([32, 32], "");
    let target = on(&ccds, None);
    let plain = text("virt-install-win11");
    let says = |text: &str| match tuned(text, Wish::default(), &target) {
        Ok(_) => String::new(),
        Err(refused) => refused.to_string(),
    };
    assert_eq!(says(plain), "");
    let vcpu = |attributes: &str| {
        let start = plain.find("<vcpu").expect("a number");
        let end = start + plain[start..].find('>').expect("its end");
        format!("{}<vcpu {attributes}{}", &plain[..start], &plain[end..])
    };
    assert_eq!(
        [
            says(text("tuned")),
            says(&vcpu("cpuset='2-5'")),
            says(&vcpu("placement='auto'")),
            says(&vcpu("current='2'")),
            says("<domain><memory>1</memory></domain>"),
            says("<domain><vcpu>2</vcpu></domain>"),
        ],
        [
            "it has pins (<cputune>) that passthru did not put there",
            "it has a choice of processors (<vcpu>) that passthru did not put there",
            "it has a choice of processors (<vcpu>) that passthru did not put there",
            "it starts with fewer virtual processors than it may have (<vcpu current='…'>)",
            "it has no number of virtual processors (<vcpu>)",
            "it has no amount of memory (<memory>)",
        ]
    );
    let arranged = "<numatune><memory mode='interleave' nodeset='0-1'/></numatune>";
    let with = plain.replace("  <os", &format!("  {arranged}\n  <os"));
    assert_ne!(with, plain);
    assert_eq!(says(&with), "", "one node is no choice");
    let refused = tuned(&with, cpus(6), &on(&epyc(), Some(3)));
    assert_eq!(refused, Err(Refused::ByHand("a choice of memory (<numatune>)")));
}

#[test]
fn edits_since_are_kept() {
    let ccds = two_ccds([32, 32], "");
    let target = on(&ccds, None);
    let plain = text("virt-install-win11");
    let done = tuned(plain, cpus(2), &target).expect("tuned").text;
    assert_eq!(untuned(plain), Err(Refused::NotTuned));
    let edited = done.replace("cpuset='24'", "cpuset='25'");
    assert_ne!(edited, done);
    assert_eq!(untuned(&edited), Err(Refused::Edited));
    assert_eq!(tuned(&edited, cpus(2), &target), Err(Refused::Edited));
    let with = done.replace("    <emulatorpin", "    <shares>2048</shares>\n    <emulatorpin");
    let left = untuned(&with).expect("untuned").text;
    assert!(left.contains("  <cputune>\n    <shares>2048</shares>\n  </cputune>"), "{left}");
    let start = done.find("  <cputune>").expect("pins");
    let end = done.find("  </cputune>\n").expect("their end") + "  </cputune>\n".len();
    let without = format!("{}{}", &done[..start], &done[end..]).replace(">2</vcpu>", ">4</vcpu>");
    let without = without.replace("cores='1' threads='2'", "cores='2' threads='2'");
    let back = untuned(&without).expect("untuned");
    assert_eq!(
        back.remarks,
        [
            "Its pins were taken out before.",
            "The number of virtual processors was changed since, and stays.",
            "The topology was changed since, and stays."
        ]
    );
    assert!(!back.text.contains("passthru"), "{}", back.text);

    let (epyc, asked) = (epyc(), Wish { huge_pages: true, ..cpus(6) });
    let done = tuned(plain, asked, &on(&epyc, Some(3))).expect("tuned").text;
    let edited =
        done.replace("nodeset='3'", "nodeset='1'").replace("size='2048'", "size='1048576'");
    let edited = edited.replace("cores='3' threads='2'", "cores='6' threads='1'");
    let back = untuned(&edited).expect("untuned");
    assert_eq!(
        back.remarks,
        [
            "The topology was changed since, and stays.",
            "<memory> in <numatune> was changed since, and stays.",
            "<hugepages> in <memoryBacking> was changed since, and stays."
        ]
    );
    for kept in ["nodeset='1'", "size='1048576'", "cores='6' threads='1'"] {
        assert!(back.text.contains(kept), "{kept}: {}", back.text);
    }
}
