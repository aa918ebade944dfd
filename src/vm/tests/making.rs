//! Machines that are made from a wish.

use super::super::build::{Format, Image, domain};
use super::super::capabilities::Capabilities;
use super::super::domain::Domain;
use super::super::make::{Firmware, Impossible, Lack, Room, whole};
use super::super::spec::{Size, VERSION, VmSpec, Windows};
use crate::host::cpu::CpuVendor;

const TCG: &str = include_str!("libvirt-9.0.0-tcg.xml");
const GIB: u64 = 1 << 30;

/// What libvirt says on the guide's machine: KVM, SPICE, all enlightenments.
pub fn with_kvm() -> Capabilities {
    let mut can = Capabilities::parse(TCG, "Using library: libvirt 9.0.0\n").expect("XML");
    can.cpu_modes.insert("host-passthrough".to_owned());
    can.graphics.insert("spice".to_owned());
    let all = "relaxed vapic spinlocks vpindex runtime synic stimer reset vendor_id frequencies \
               reenlightenment tlbflush ipi evmcs avic";
    can.hyperv = Some(all.split_whitespace().map(str::to_owned).collect());
    can
}

/// The guide's machine: six cores, 32 GiB, firmware as Arch ships it.
pub fn guide() -> Room {
    let firmware = Firmware::SecureBoot;
    Room { cpus: 12, memory: Size(32 * GIB), vendor: CpuVendor::Intel, firmware }
}

fn wish(os: Windows) -> VmSpec {
    VmSpec {
        version: VERSION,
        os: Some(os),
        iso: Some("/var/lib/libvirt/images/windows.iso".to_owned()),
        virtio_iso: Some("/var/lib/libvirt/images/virtio-win.iso".to_owned()),
        ..VmSpec::default()
    }
}

pub fn made(os: Windows, room: &Room, can: &Capabilities) -> (String, Vec<Lack>) {
    let (whole, lacks) = whole(&wish(os), room, can).expect("it can be made");
    let path = "/var/lib/libvirt/images/windows.qcow2".to_owned();
    let image = Image { path, format: Format::Qcow2, block: false };
    (domain("windows", &whole, &image, can, room.vendor), lacks)
}

#[test]
fn answers_of_libvirt_are_read() {
    let can = Capabilities::parse(TCG, "Using library: libvirt 9.0.0\n").expect("XML");
    assert_eq!((can.cpus, can.efi, can.tpm, can.hostdev), (4096, true, true, true));
    assert_eq!(can.libvirt, 9_000_000);
    let words = |set: &std::collections::BTreeSet<String>| {
        set.iter().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words(&can.cpu_modes), "custom host-model maximum");
    assert_eq!(can.hyperv.as_ref().map(words).as_deref(), Some("spinlocks vendor_id"));
    assert_eq!(words(&can.graphics), "dbus egl-headless sdl vnc");
    let none = Capabilities::parse("<domainCapabilities/>", "").expect("XML");
    assert_eq!(none, Capabilities::default());
}

#[test]
fn the_machine_for_the_guide() {
    let (eleven, lacks) = made(Windows::Win11, &guide(), &with_kvm());
    assert_eq!(lacks, [Lack::Keys], "Arch ships no keys");
    insta::assert_snapshot!("eleven", eleven);
    assert_eq!(Domain::parse(&eleven).expect("a domain").fit(), Ok(()));
    let (ten, lacks) = made(Windows::Win10, &guide(), &with_kvm());
    assert_eq!(lacks, []);
    let diff = similar::TextDiff::from_lines(&eleven, &ten);
    insta::assert_snapshot!("ten", diff.unified_diff().context_radius(0).to_string());
}

#[test]
fn topoext_is_for_amd_and_address_bits_for_new_libvirt() {
    let amd = Room { vendor: CpuVendor::Amd, ..guide() };
    assert!(made(Windows::Win11, &amd, &with_kvm()).0.contains("name='topoext'"));
    let old = Capabilities { libvirt: 8_006_999, ..with_kvm() };
    let (xml, _) = made(Windows::Win11, &guide(), &old);
    assert!(!xml.contains("topoext") && !xml.contains("maxphysaddr"), "{xml}");
}

#[test]
fn enlightenments_need_each_other() {
    let mut can = with_kvm();
    can.hyperv.as_mut().expect("a list").remove("vpindex");
    let (xml, _) = made(Windows::Win11, &guide(), &can);
    for name in ["vpindex", "synic", "stimer", "tlbflush", "ipi", "avic", "evmcs", "reset"] {
        assert!(!xml.contains(&format!("<{name} ")), "{name}");
    }
    assert!(xml.contains("<vapic state='on'/>"), "{xml}");
    can.hyperv = None;
    let (xml, _) = made(Windows::Win11, &guide(), &can);
    assert!(xml.contains("<synic state='on'/>"), "an old libvirt lists none, and has them: {xml}");
}

#[test]
fn the_host_keeps_its_share() {
    let of = |cpus, gibibytes: u64, wish: VmSpec| {
        let room = Room { cpus, memory: Size(gibibytes * GIB + 5), ..guide() };
        whole(&wish, &room, &with_kvm()).map(|(whole, _)| (whole.cpus, whole.memory.0 / GIB))
    };
    let plain = || wish(Windows::Win11);
    for (cpus, gibibytes, got) in
        [(12, 32, (6, 16)), (4, 15, (2, 7)), (3, 9, (1, 4)), (2, 8, (1, 4)), (64, 200, (32, 100))]
    {
        assert_eq!(of(cpus, gibibytes, plain()), Ok(got), "{cpus} {gibibytes}");
    }
    let asked = VmSpec { cpus: Some(13), ..plain() };
    assert_eq!(of(12, 32, asked), Err(Impossible::Cpus { asked: 13, has: 12 }));
    let asked = VmSpec { memory: Some(Size(33 * GIB)), ..plain() };
    assert!(matches!(of(12, 32, asked), Err(Impossible::Memory { .. })));
    assert!(matches!(of(12, 4, plain()), Ok((6, 4))), "the host has 4 GiB and 5 bytes");
    assert!(matches!(of(12, 3, plain()), Err(Impossible::Memory { .. })));
}

#[test]
fn what_the_host_lacks_is_said_or_refused() {
    let room = Room { firmware: Firmware::Plain, ..guide() };
    let can = Capabilities { tpm: false, ..with_kvm() };
    let (xml, lacks) = made(Windows::Win11, &room, &can);
    assert_eq!(lacks, [Lack::Tpm, Lack::SecureBoot]);
    assert!(!xml.contains("<tpm") && !xml.contains("<smm"), "{xml}");
    let refused = |wish: VmSpec, room: &Room| whole(&wish, room, &can).map(|_| ());
    let plain = || wish(Windows::Win11);
    assert_eq!(refused(VmSpec { tpm: Some(true), ..plain() }, &room), Err(Impossible::NoTpm));
    let secure = VmSpec { secure_boot: Some(true), ..plain() };
    assert_eq!(refused(secure, &room), Err(Impossible::NoSecureBoot));
    let none = Room { firmware: Firmware::None, ..guide() };
    assert_eq!(refused(plain(), &none), Err(Impossible::NoFirmware));
}
