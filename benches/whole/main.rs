//! `cargo bench`: the program as users run it, as ratios against what does the same work.
//!
//! Whole processes are timed, all of one round after the other, and the medians compared: a
//! busy machine slows all of them. The machines are made for the purpose and lie in the page
//! cache; how the ratios are on a real sysfs, only a run on one can say.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a bench is a program of its own and stops at the first surprise"
)]

mod machine;
mod measure;
mod reads;

use std::path::Path;
use std::process::Command;

use machine::Machine;
use measure::{Contender, available, lspci_knows_modules, medians, peak_memory_kib};
use reads::Reads;

const PASSTHRU: &str = env!("CARGO_BIN_EXE_passthru");

/// The guide's script: one lspci for every device of every group.
const SCRIPT: &str = r#"shopt -s nullglob
for g in $(find "$1"/sys/kernel/iommu_groups/* -maxdepth 0 -type d | sort -V); do
    echo "IOMMU Group ${g##*/}:"
    for d in $g/devices/*; do
        echo -e "\t$(lspci -A linux-sysfs -O sysfs.path="$1"/sys/bus/pci -nns ${d##*/})"
    done;
done;"#;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, mode, root, list] = &args[..]
        && mode == reads::MODE
    {
        reads::replay(Path::new(root), Path::new(list));
        return;
    }
    println!("{:<34}{:>11}{:>11}  goal", "", "measured", "");
    start_up();
    size();
    if available("lspci") && !lspci_knows_modules() {
        println!(
            "\nThis kernel has no modules directory: lspci -k looks for no modules, and does less"
        );
        println!("than on a usual host.");
    }
    let mut each = Vec::new();
    for functions in [31, 86, 10_000] {
        each.push((functions, inspect(functions)));
    }
    let per_function = |(functions, seconds): (usize, f64)| seconds * 1e6 / functions as f64;
    let (small, large) = (per_function(each[1]), per_function(each[2]));
    println!("\nGrowth");
    line("one function of 86", &format!("{small:.1} us"), "", None);
    line("one function of 10000", &format!("{large:.1} us"), "", None);
    line("ratio", &format!("{:.2}", large / small), "at most 1.2", Some(large <= 1.2 * small));
}

/// One line of the table; a goal says whether it holds.
fn line(name: &str, value: &str, goal: &str, holds: Option<bool>) {
    let word = match holds {
        Some(true) => "holds",
        Some(false) => "MISSED",
        None => "",
    };
    println!("  {name:<32}{value:>11}{:>11}  {goal}", word);
}

fn start_up() {
    println!("Start-up");
    let version = Contender::new("passthru --version", PASSTHRU, &["--version"]);
    let nothing = Contender::new("/bin/true", "/bin/true", &[]);
    let times = medians(&[version, nothing], 101);
    line("passthru --version", &ms(times[0]), "under 5 ms", Some(times[0] < 0.005));
    line("/bin/true", &ms(times[1]), "", None);
    line("ratio", &format!("{:.1}", times[0] / times[1]), "", None);
}

fn size() {
    println!("\nBinary");
    let bytes = std::fs::read(PASSTHRU).unwrap();
    let linked = memchr::memmem::find(&bytes, b"ld-linux").map_or("static", |_| "dynamic");
    let mib = bytes.len() as f64 / f64::from(1 << 20);
    line(&format!("size ({linked})"), &format!("{mib:.2} MiB"), "under 8 MiB", Some(mib < 8.0));
}

/// Times everything on a machine of so many functions; the seconds of `inspect`.
fn inspect(functions: usize) -> f64 {
    println!("\n{functions} functions");
    let machine = Machine::new(PASSTHRU, functions);
    let root = machine.root().to_str().unwrap().to_owned();
    let inspect = ["--root", &root, "inspect"];
    let sysfs = format!("sysfs.path={root}/sys/bus/pci");
    let mut contenders = vec![Contender::new("inspect", PASSTHRU, &inspect)];
    let reads = Reads::of(PASSTHRU, &inspect, &machine.root());
    if let Some(reads) = &reads {
        let list = machine.root().with_file_name("reads");
        std::fs::write(&list, reads.list()).unwrap();
        let own = std::env::current_exe().unwrap();
        let args = [reads::MODE, &root, list.to_str().unwrap()];
        contenders.push(Contender::new("bare loop", own.to_str().unwrap(), &args));
    }
    let lspci = available("lspci");
    if lspci {
        let args = ["-A", "linux-sysfs", "-O", &sysfs, "-nnk"];
        contenders.push(Contender::new("one lspci -nnk", "lspci", &args));
    }
    let times = medians(&contenders, if functions > 1000 { 7 } else { 31 });
    line("inspect", &ms(times[0]), "", None);
    for (contender, time) in contenders.iter().zip(&times).skip(1) {
        line(contender.name, &ms(*time), "", None);
    }
    if let Some(reads) = &reads {
        line("reads", &reads.count().to_string(), "", None);
        let ratio = times[0] / times[1];
        line("inspect / bare loop", &format!("{ratio:.2}"), "at most 2", Some(ratio <= 2.0));
    } else {
        line("bare loop", "not run", "needs strace", None);
    }
    if lspci {
        let ratio = times[times.len() - 1] / times[0];
        line("lspci -nnk / inspect", &format!("{ratio:.1}"), "at least 2", Some(ratio >= 2.0));
        script(functions, &root, times[0]);
    } else {
        line("lspci", "not run", "needs pciutils", None);
    }
    match peak_memory_kib(Command::new(PASSTHRU).args(inspect)) {
        Some(kib) => line("peak memory", &format!("{:.1} MiB", kib as f64 / 1024.0), "", None),
        None => line("peak memory", "not run", "needs GNU time", None),
    }
    times[0]
}

/// The guide's script takes minutes on the large machine; there it is left out.
fn script(functions: usize, root: &str, inspect: f64) {
    if functions > 1000 {
        return;
    }
    let script = Contender::new("script", "bash", &["-c", SCRIPT, "bash", root]);
    let time = medians(&[script], 3)[0];
    let ratio = time / inspect;
    line("the guide's script", &ms(time), "", None);
    line("script / inspect", &format!("{ratio:.0}"), "at least 100", Some(ratio >= 100.0));
}

fn ms(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1000.0)
}
