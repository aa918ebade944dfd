//! Hosts of several kinds, recorded and laid out, and what a guest gets of each.

mod domains;

use std::fmt::Write as _;

use super::cores::Cores;
use super::pins::{pins, remarks};
use super::{Pinned, Target};
use crate::host::cpu::CpuVendor;
use crate::host::resources::{Resources, listed};
use crate::sys::{Sysroot, Tree};

/// Two of its sort: 8 nodes with 6 cores and two caches each.
const EPYC: &str = include_str!("../../../tests/topologies/epyc-7451.tree");
/// Performance cores with two threads, efficiency cores, and some of those without L3.
const HYBRID: &str = include_str!("../../../tests/topologies/core-ultra-9-185h.tree");

fn read(tree: &str) -> Resources {
    Resources::read(&Sysroot::from_tree(Tree::parse(tree).expect("a tree")))
}

/// A host of cores, each with its threads, its cache, the size of that in MiB, and its node.
fn laid(cores: &[(&[u32], &str, u32, u32)], more: &str) -> Resources {
    let mut tree = format!("passthru-tree 1\n{more}\n");
    let mut online: Vec<u32> = cores.iter().flat_map(|(threads, ..)| threads.to_vec()).collect();
    online.sort_unstable();
    let _ = writeln!(tree, "sys/devices/system/cpu/online = {}", listed(&online));
    for (threads, cache, size, node) in cores {
        for cpu in *threads {
            let cpu = format!("sys/devices/system/cpu/cpu{cpu}");
            let _ = writeln!(tree, "{cpu}/topology/thread_siblings_list = {}", listed(threads));
            let _ = writeln!(tree, "{cpu}/cache/index3/shared_cpu_list = {cache}");
            let _ = writeln!(tree, "{cpu}/cache/index3/size = {}K", size << 10);
            let _ = writeln!(tree, "{cpu}/node{node} -> ../../node/node{node}");
        }
    }
    read(&tree)
}

/// Two CCDs of 8 cores with 2 threads, numbered as on a Ryzen 9 5950X.
fn two_ccds(sizes: [u32; 2], more: &str) -> Resources {
    let threads: Vec<[u32; 2]> = (0..16).map(|core| [core, core + 16]).collect();
    let caches = ["0-7,16-23", "8-15,24-31"];
    let cores = threads
        .iter()
        .zip(0..)
        .map(|(threads, at): (_, usize)| (threads.as_slice(), caches[at / 8], sizes[at / 8], 0));
    laid(&cores.collect::<Vec<_>>(), more)
}

/// What a guest gets, or why it does not.
fn told(resources: &Resources, count: u32, card: Option<u32>) -> String {
    let cores = Cores::of(resources, card).expect("cores");
    let choice = match cores.choose(count) {
        Ok(choice) => choice,
        Err(refused) => return format!("{refused}; fits: {:?}", refused.fits()),
    };
    let mut out = String::new();
    for pin in pins(&choice, &[]) {
        let what = match pin.what {
            Pinned::Vcpu(number) => number.to_string(),
            _ => "host".to_owned(),
        };
        let _ = writeln!(out, "{what} on {}: {}", listed(&pin.cpus), pin.why);
    }
    remarks(&choice, &cores, card).iter().for_each(|remark| out += &format!("! {remark}\n"));
    out
}

fn all_told(resources: &Resources, asked: &[(u32, Option<u32>)]) -> String {
    let each = asked.iter().map(|(count, card)| {
        let near = card.map_or("no card".to_owned(), |node| format!("a card on node {node}"));
        format!("{count} virtual processors, {near}\n{}", told(resources, *count, *card))
    });
    each.collect::<Vec<_>>().join("\n")
}

fn remarked(resources: &Resources, count: u32) -> String {
    let told = told(resources, count, None);
    told.lines().filter_map(|line| line.strip_prefix("! ")).collect()
}

/// The guest's processors and the host's, or why there are none.
fn brief(resources: &Resources, count: u32) -> String {
    let cores = Cores::of(resources, None).expect("cores");
    match cores.choose(count) {
        Ok(choice) => {
            let cpus: Vec<String> =
                choice.cores.iter().map(|core| format!("{:?}", core.threads)).collect();
            format!("{} host {}", cpus.join(""), listed(&choice.host))
        }
        Err(refused) => format!("{:?}", refused.fits()),
    }
}

#[test]
fn a_recorded_server_with_nodes_gives_cores_beside_the_card() {
    let epyc = read(EPYC);
    let asked =
        [(6, Some(3)), (8, Some(3)), (12, Some(3)), (14, Some(3)), (10, Some(0)), (2, None)];
    insta::assert_snapshot!(all_told(&epyc, &asked));
}

#[test]
fn a_recorded_hybrid_gives_performance_cores_alone() {
    let hybrid = read(HYBRID);
    insta::assert_snapshot!(all_told(&hybrid, &[4, 10, 12, 3].map(|count| (count, None))));
}

#[test]
fn kinds_are_not_mixed_where_performance_cores_are_few() {
    let atom = "sys/devices/cpu_atom/cpus = 4-9\nsys/devices/cpu_lowpower/cpus = 10-11";
    let mut cores: Vec<(&[u32], &str, u32, u32)> =
        vec![(&[0, 1], "0-11", 12, 0), (&[2, 3], "0-11", 12, 0)];
    let small: Vec<[u32; 1]> = (4..12).map(|cpu| [cpu]).collect();
    cores.extend(small.iter().map(|cpu| (cpu.as_slice(), "0-11", 12, 0)));
    let laptop = laid(&cores, atom);
    insta::assert_snapshot!(all_told(&laptop, &[2, 4].map(|count| (count, None))));
}

#[test]
fn kinds_are_told_apart_without_a_second_thread() {
    let small = "sys/devices/cpu_atom/cpus = 1-4\nsys/devices/cpu_lowpower/cpus = 8-9";
    let single: Vec<[u32; 1]> = (0..10).map(|cpu| [cpu]).collect();
    let cores = single.iter().map(|cpu| (cpu.as_slice(), "0-9", 12, 0));
    let hybrid = laid(&cores.collect::<Vec<_>>(), small);
    assert_eq!(brief(&hybrid, 3), "[5][6][7] host 0-4,8-9");
    assert_eq!(brief(&hybrid, 4), "[1][2][3][4] host 0,5-9");
}

#[test]
fn a_guest_stays_on_one_of_two_caches() {
    let ccds = two_ccds([32, 32], "");
    assert_eq!(brief(&ccds, 4), "[8, 24][9, 25] host 10-15,26-31");
    assert_eq!(
        brief(&ccds, 16),
        "[8, 24][9, 25][10, 26][11, 27][12, 28][13, 29][14, 30][15, 31] host 0-7,16-23"
    );
    assert_eq!(brief(&ccds, 17), "[16, 18]");
    assert_eq!(
        remarked(&ccds, 18),
        "The cores are on 2 last-level caches, and data takes several times as long from one to another as on one. `--cpus 16` stays on one."
    );
    assert_eq!(brief(&ccds, 30).matches(", ").count(), 15, "the host keeps its first core alone");
    assert_eq!(brief(&ccds, 32), "[30]");
    assert_eq!(brief(&ccds, u32::MAX), "[30]");
    // As on a Ryzen 9 7950X3D, whose first cache is the large one.
    let stacked = two_ccds([96, 32], "");
    assert_eq!(brief(&stacked, 4), "[1, 17][2, 18] host 0,3-7,16,19-23");
    assert_eq!(brief(&stacked, 16), brief(&ccds, 16), "one cache before a large one");
}

#[test]
fn isolated_cores_are_the_guests_and_never_the_hosts() {
    let ccds = two_ccds([32, 32], "sys/devices/system/cpu/isolated = 4-7,20-23");
    assert_eq!(brief(&ccds, 8), "[4, 20][5, 21][6, 22][7, 23] host 0-3,16-19");
    assert_eq!(brief(&ccds, 4), "[4, 20][5, 21] host 0-3,16-19");
    assert_eq!(
        remarked(&ccds, 10),
        "The processors that are isolated (isolcpus=) are too few for the guest, or not where it belongs."
    );
    let all = two_ccds([32, 32], "sys/devices/system/cpu/isolated = 1-15,17-31");
    assert_eq!(
        brief(&all, 16),
        "[8, 24][9, 25][10, 26][11, 27][12, 28][13, 29][14, 30][15, 31] host 0,16"
    );
    let too_many = two_ccds([32, 32], "sys/devices/system/cpu/isolated = 1-31");
    assert_eq!(brief(&too_many, 4), "[]", "the host has one processor left");
}

#[test]
fn small_hosts_keep_two_processors() {
    let single: Vec<[u32; 1]> = (0..6).map(|cpu| [cpu]).collect();
    let cores = single.iter().map(|cpu| (cpu.as_slice(), "0-5", 9, 0));
    let six = laid(&cores.collect::<Vec<_>>(), "");
    assert_eq!(brief(&six, 4), "[1][2][3][4] host 0,5");
    assert_eq!(brief(&six, 3), "[1][2][3] host 0,4-5");
    assert_eq!(brief(&six, 5), "[4]");
    let one = laid(&[(&[0, 1], "0-1", 4, 0)], "");
    assert_eq!(brief(&one, 2), "[]");
    let offline = laid(&[(&[0, 2], "0-3", 4, 0), (&[1], "0-3", 4, 0)], "");
    assert_eq!(brief(&offline, 2), "[]", "the other thread of core 1 is offline");
    let none = read("passthru-tree 1\n");
    let refused = Cores::of(&none, None).err().expect("refused").to_string();
    assert_eq!(refused, "the processors of this host could not be read: the kernel lists none");
}
