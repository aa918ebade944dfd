//! A Debian on an emulated machine: the recorded devices of that machine, with files around them
//! that make it one passthru can set up. What update-initramfs and update-grub would make of the
//! changed files is put there afterwards.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::harness::Machine;
use super::image::pack;
use super::kernel::{Kernel, run};

const GRUB: &str = "GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_DISTRIBUTOR=Debian\n\
    GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"\"\n";

/// A machine on which a plan was carried out.
pub struct Host {
    machine: Machine,
    plan: Value,
}

impl Host {
    /// The plan for a recorded machine with this kernel, applied. It is named, or a capture file.
    pub fn apply(kernel: &Kernel, recorded: &str, args: &[&str]) -> Self {
        Self::apply_to(kernel, debian(kernel, recorded), args)
    }

    /// The same on a machine that was made before.
    pub fn apply_to(kernel: &Kernel, machine: Machine, args: &[&str]) -> Self {
        let output = machine.run(&[&["--json", "plan"], args].concat());
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        let plan = output.json();
        let output = machine.run(&[&["apply", "--yes"], args].concat());
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        let host = Self { machine, plan };
        host.update_grub(kernel);
        host.update_initramfs(kernel);
        host
    }

    /// Its files.
    pub fn root(&self) -> PathBuf {
        self.machine.root()
    }

    /// How the card is selected.
    pub fn method(&self) -> &str {
        self.plan["binding"]["method"].as_str().expect("a method")
    }

    /// What the plan puts onto the kernel's command line.
    pub fn words(&self) -> String {
        let words = self.plan["kernel_parameters"]["add"].as_array().expect("words").iter();
        let words: Vec<&str> = words.map(|word| word.as_str().expect("a word")).collect();
        words.join(" ")
    }

    fn update_grub(&self, kernel: &Kernel) {
        let release = &kernel.release;
        let section = |script: &str, id: &str, words: &str| {
            format!(
                "### BEGIN /etc/grub.d/{script} ###\nmenuentry '{id}' --id '{id}' {{\n\
                 \tlinux /boot/vmlinuz-{release} root=/dev/sda1 ro quiet {words}\n\
                 \tinitrd /boot/initrd.img-{release}\n}}\n### END /etc/grub.d/{script} ###\n"
            )
        };
        let stock = section("42_passthru", "passthru-stock", "");
        let text = section("10_linux", "gnulinux-simple", &self.words()) + &stock;
        fs::write(self.machine.at("boot/grub/grub.cfg"), text).expect("written");
    }

    fn update_initramfs(&self, kernel: &Kernel) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path();
        kernel.put_modules(root);
        fs::create_dir_all(root.join("etc")).expect("a directory");
        let parts = [("etc/modprobe.d", "etc"), ("etc/initramfs-tools/scripts", ".")];
        for (part, to) in parts {
            let part = self.machine.at(part);
            if part.exists() {
                run(Command::new("cp").arg("-a").arg(part).arg(root.join(to)));
            }
        }
        let order = root.join("scripts/init-top");
        if order.join("00-passthru").exists() {
            fs::write(order.join("ORDER"), "/scripts/init-top/00-passthru \"$@\"\n")
                .expect("written");
        }
        // mkinitramfs writes the modules that are listed there.
        fs::create_dir_all(root.join("conf")).expect("a directory");
        let listed = self.machine.at("etc/initramfs-tools/modules");
        fs::copy(listed, root.join("conf/modules")).expect("copied");
        let image = format!("boot/initrd.img-{}", kernel.release);
        pack(root, &self.machine.at(&image));
    }
}

/// Recorded devices, and a Debian around them.
pub fn debian(kernel: &Kernel, recorded: &str) -> Machine {
    let release = &kernel.release;
    let boot = |name: &str| format!("boot/{name}-{release}");
    let modules = |name: &str| format!("usr/lib/modules/{release}/{name}");
    let line = format!("BOOT_IMAGE=/boot/vmlinuz-{release} root=/dev/sda1 ro quiet\n");
    // No processor of Intel is emulated with virtualization, and nothing here needs it.
    let machine = Machine::new(recorded).replace("proc/cpuinfo", ": fpu ", ": vmx fpu ");
    // Those of an initramfs are no links.
    let plain = |name: &&str| machine.at(name).is_dir() && !machine.at(name).is_symlink();
    let plain: Vec<&str> = ["lib", "sbin", "bin"].into_iter().filter(plain).collect();
    let machine = plain.into_iter().fold(machine, Machine::remove);
    let program = "usr/sbin/update-initramfs";
    let menu = "usr/sbin/update-grub";
    machine
        .write("etc/os-release", "ID=debian\nNAME=Debian\nPRETTY_NAME=Debian\n")
        .write("etc/default/grub", GRUB)
        .write("etc/initramfs-tools/initramfs.conf", "MODULES=most\n")
        .write("etc/initramfs-tools/modules", "")
        .write(
            "boot/grub/grub.cfg",
            format!("linux /boot/vmlinuz-{release} root=/dev/sda1 ro quiet\n"),
        )
        .write(&boot("vmlinuz"), "")
        .write(&boot("initrd.img"), "")
        .write(
            &boot("config"),
            "CONFIG_INTEL_IOMMU=y\nCONFIG_AMD_IOMMU=y\nCONFIG_VFIO=m\nCONFIG_VFIO_PCI=m\n",
        )
        .write(&modules("modules.alias"), kernel.list("modules.alias"))
        .write(&modules("modules.dep"), kernel.list("modules.dep"))
        .write(&modules("modules.builtin"), kernel.list("modules.builtin"))
        .write("proc/cmdline", line)
        .write("proc/sys/kernel/osrelease", format!("{release}\n"))
        .write("proc/version", format!("Linux version {release} (x) #1 SMP\n"))
        .write("proc/mounts", "/dev/sda1 / ext4 rw 0 0\n")
        .write(program, "#!/bin/sh\n")
        .mode(program, 0o755)
        .write(menu, "#!/bin/sh\n")
        .mode(menu, 0o755)
        .link("lib", "usr/lib")
        .link("sbin", "usr/sbin")
        .link("bin", "usr/bin")
}
