//! The table of docs/vm.md, held against the machine of the guide.

use super::making::{guide, made, with_kvm};
use crate::vm::spec::Windows;

/// A row: its name, what the XML holds, and what it does not.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const ROWS: &[Row] = &[
    ("accelerator", &["<domain type='kvm'>", "arch='x86_64'"], &[]),
    ("system", &["<libosinfo:os id='http://microsoft.com/win/11'/>"], &[]),
    ("machine", &["machine='q35'"], &[]),
    ("firmware", &["<os firmware='efi'>"], &["<loader", "<nvram", ".fd"]),
    (
        "Secure Boot",
        &["enabled='yes' name='secure-boot'", "enabled='no' name='enrolled-keys'"],
        &[],
    ),
    ("SMM", &["<smm state='on'/>"], &[]),
    ("TPM", &["<tpm model='tpm-crb'>", "<backend type='emulator' version='2.0'/>"], &[]),
    ("memory", &["<memory unit='KiB'>16777216<"], &["<locked", "<hard_limit", "<currentMemory"]),
    ("huge pages", &[], &["<memoryBacking", "hugepages"]),
    (
        "processor",
        &[
            "<cpu mode='host-passthrough' check='none' migratable='off'>",
            "<cache mode='passthrough'/>",
        ],
        &[],
    ),
    ("address bits", &["<maxphysaddr mode='passthrough'/>"], &["limit="]),
    ("topology", &[">6</vcpu>", "sockets='1' dies='1' cores='6' threads='1'"], &[]),
    ("`topoext`", &[], &["topoext"]),
    ("pins", &[], &["<cputune", "vcpupin", "cpuset"]),
    (
        "Hyper-V",
        &[
            "<hyperv mode='custom'>",
            "<relaxed state='on'/>",
            "<vapic state='on'/>",
            "<spinlocks state='on' retries='8191'/>",
            "<vpindex state='on'/>",
            "<runtime state='on'/>",
            "<synic state='on'/>",
            "<stimer state='on'>",
            "<direct state='on'/>",
            "<frequencies state='on'/>",
            "<tlbflush state='on'/>",
            "<ipi state='on'/>",
        ],
        &["avic", "evmcs", "reenlightenment", "<reset", "mode='passthrough' state"],
    ),
    ("hiding", &["<vendor_id state='on' value=", "<hidden state='on'/>"], &[]),
    ("VMware's port", &["<vmport state='off'/>"], &[]),
    ("`ioapic`", &["<ioapic driver='kvm'/>"], &[]),
    ("MSRs", &[], &["<msrs"]),
    (
        "clock",
        &[
            "<clock offset='localtime'>",
            "<timer name='rtc' tickpolicy='catchup'/>",
            "<timer name='pit' tickpolicy='delay'/>",
            "<timer name='hpet' present='no'/>",
            "<timer name='hypervclock' present='yes'/>",
        ],
        &[],
    ),
    ("sleep", &["<suspend-to-mem enabled='no'/>", "<suspend-to-disk enabled='no'/>"], &[]),
    ("root ports", &[], &["pcie-root"]),
    ("USB", &["<controller type='usb' model='qemu-xhci' ports='15'/>"], &[]),
    (
        "disk",
        &[
            "<iothreads>1<",
            "type='qcow2' cache='none' io='native' discard='unmap' iothread='1'",
            "<target dev='vda' bus='virtio'/>",
            "disk = &quot;50G&quot;",
        ],
        &[],
    ),
    ("volumes", &["dev='sda' bus='sata'", "dev='sdb' bus='sata'", "<readonly/>"], &[]),
    ("start order", &["<boot order='1'/>", "<boot order='2'/>"], &["<boot dev"]),
    ("network", &["<source network='default'/>\n      <model type='virtio'/>"], &[]),
    (
        "screen",
        &["<graphics type='spice'", "address='127.0.0.1'", "<video>\n      <model type='virtio'/>"],
        &[],
    ),
    ("sound", &["<sound model='ich9'/>", "<audio id='1' type='spice'/>"], &[]),
    ("input", &["type='tablet' bus='usb'", "type='keyboard' bus='usb'"], &[]),
    ("balloon", &["<memballoon model='none'/>"], &[]),
    ("card", &[], &["<hostdev"]),
];

#[test]
fn every_row_of_the_table_is_true_of_the_machine() {
    let (xml, _) = made(Windows::Win11, &guide(), &with_kvm());
    for (name, holds, lacks) in ROWS {
        assert!(!holds.is_empty() || !lacks.is_empty(), "{name} claims nothing");
        for part in *holds {
            assert!(xml.contains(part), "{name}: {part} is not in {xml}");
        }
        for part in *lacks {
            assert!(!xml.contains(part), "{name}: {part} is in {xml}");
        }
    }
}

#[test]
fn the_table_has_these_rows() {
    let text = include_str!("../../../docs/vm.md");
    let table = text.split_once("|---|---|---|---|---|\n").expect("a table").1;
    let rows = table.lines().map_while(|line| line.strip_prefix("| ")?.split(" | ").next());
    let names: Vec<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(rows.collect::<Vec<_>>(), names);
}
