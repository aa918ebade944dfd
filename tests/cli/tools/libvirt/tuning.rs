//! Pins: written, read back by libvirt, changed, and taken out.

use super::house::House;
use super::machines::create;

const PINS: &str = "\
Pins
  vcpu 0 on 1: a whole core on the cache of 0-19
  vcpu 1 on 11: the other thread of that core
  vcpu 2 on 2: a whole core on the cache of 0-19
  vcpu 3 on 12: the other thread of that core
  vcpu 4 on 3: a whole core on the cache of 0-19
  vcpu 5 on 13: the other thread of that core
  emulator on 0,4-10,14-19: the host's processors that share a cache with the guest
  iothread 1 on 0,4-10,14-19: with the emulator, so that work for disks takes no time from the
  guest's cores
  memory in pages of 2048 KiB: the largest that are free for all of it
";

const TUNED: &str = "  <memoryBacking>
    <hugepages>
      <page size='2048' unit='KiB'/>
    </hugepages>
  </memoryBacking>
  <vcpu placement='static'>6</vcpu>
  <iothreads>1</iothreads>
  <cputune>
    <vcpupin vcpu='0' cpuset='1'/>
    <vcpupin vcpu='1' cpuset='11'/>
    <vcpupin vcpu='2' cpuset='2'/>
    <vcpupin vcpu='3' cpuset='12'/>
    <vcpupin vcpu='4' cpuset='3'/>
    <vcpupin vcpu='5' cpuset='13'/>
    <emulatorpin cpuset='0,4-10,14-19'/>
    <iothreadpin iothread='1' cpuset='0,4-10,14-19'/>
  </cputune>
";

/// Tuned, tuned otherwise, and all of it taken back, by `undo` and by `--off`.
pub fn there_and_back(house: &House) {
    house.does(&create("pinned", &[]));
    let bare = house.xml("pinned");
    let six = ["vm", "tune", "pinned", "--cpus", "6", "--huge-pages", "--yes"];
    let said = house.does(&six);
    assert!(said.contains(PINS), "{said}");
    let tuned = house.xml("pinned");
    house.validates(&tuned);
    assert!(tuned.contains(TUNED), "{tuned}");
    assert!(tuned.contains("<topology sockets='1' dies='1' cores='3' threads='2'/>"), "{tuned}");
    let shown = house.passthru(&["--json", "vm", "show", "pinned"]).json();
    assert_eq!(shown["tuned"]["cpus"], serde_json::json!([1, 11, 2, 12, 3, 13]));

    let again = house.does(&six);
    assert_eq!(again, "It is so already: nothing was changed.\n");
    assert_eq!(house.xml("pinned"), tuned);

    let four = house.passthru(&["--json", "vm", "tune", "pinned", "--cpus", "4", "--yes"]).json();
    let first = serde_json::json!({
        "what": { "vcpu": 0 }, "cpus": [1], "why": "a whole core on the cache of 0-19",
    });
    assert_eq!(four["tuning"]["pins"][0], first, "{four}");
    assert_eq!(four["tuning"]["huge_pages"], serde_json::Value::Null);
    let other = house.xml("pinned");
    assert!(other.contains("<vcpu placement='static'>4</vcpu>"), "{other}");
    assert!(!other.contains("memoryBacking"), "tuned anew, and no huge pages were asked for");
    house.does(&["vm", "tune", "pinned", "--off", "--yes"]);
    assert_eq!(house.xml("pinned"), bare, "off to the byte, though it was tuned twice");
    for (wanted, what) in [(&other, "the off"), (&tuned, "the second"), (&bare, "the first")] {
        house.does(&["undo", "--yes"]);
        assert!(house.xml("pinned") == *wanted, "{what} is taken back");
    }
    let log = house.does(&["log"]);
    assert!(log.contains("vm tune"), "{log}");

    refused(house, &bare);
    house.does(&["undo", "--yes"]);
}

/// On a machine of two nodes: pinned beside the card, with memory from there.
pub fn beside_the_card(house: &House) {
    house.split_into_nodes();
    house.does(&create("near", &[]));
    house.does(&["vm", "attach", "near", "07:00.0", "--yes"]);
    let with_card = house.xml("near");
    house.does(&["vm", "tune", "near", "--cpus", "4", "--yes"]);
    let tuned = house.xml("near");
    house.validates(&tuned);
    for part in [
        "    <vcpupin vcpu='0' cpuset='5'/>\n    <vcpupin vcpu='1' cpuset='15'/>\n    <vcpupin vcpu='2' cpuset='6'/>\n    <vcpupin vcpu='3' cpuset='16'/>\n",
        "  <numatune>\n    <memory mode='strict' nodeset='1'/>\n  </numatune>\n",
    ] {
        assert!(tuned.contains(part), "{part} is not in {tuned}");
    }
    let said = house.refuses(&["vm", "tune", "near", "--cpus", "12", "--yes"]);
    assert!(said.contains("on NUMA node 1 beside the host"), "{said}");
    house.does(&["vm", "tune", "near", "--off", "--yes"]);
    assert_eq!(house.xml("near"), with_card);
    for _ in 0..4 {
        house.does(&["undo", "--yes"]);
    }
}

/// What does not fit, and what somebody else arranged.
fn refused(house: &House, bare: &str) {
    let says = |args: &[&str], parts: &[&str]| {
        let before = house.xml("pinned");
        let said = house.refuses(&[&["vm", "tune", "pinned", "--yes"], args].concat());
        for part in parts {
            assert!(said.contains(part), "{args:?}: {part:?} is not in {said}");
        }
        assert_eq!(house.xml("pinned"), before);
    };
    says(&["--cpus", "3"], &["no whole cores", "2 or 4 would fit", "--cpus 4"]);
    says(&["--cpus", "20"], &["20 virtual processors do not fit", "18 would fit"]);
    says(&["--cpus", "0"], &["invalid value"]);
    says(&["--off"], &["passthru did not tune it"]);
    says(&["--off", "--cpus", "2"], &["cannot be used with"]);
    let define = |xml: &str| {
        let file = house.file("pinned.xml", xml);
        house.virsh(&["define", &file])
    };
    define(&bare.replace("4194304", "6291456"));
    says(
        &["--huge-pages"],
        &[
            "6144 MiB of memory",
            "3072 pages of 2 MiB are needed, 2048 are free",
            "echo 3072 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
        ],
    );
    define(bare);
    house.virsh(&["vcpupin", "pinned", "0", "1", "--config"]);
    says(&[], &["it has pins (<cputune>) that passthru did not put there", "virsh edit pinned"]);
    define(bare);
    assert_eq!(house.xml("pinned"), bare);
}
