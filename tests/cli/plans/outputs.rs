//! What the commands write is said before, so that it can be saved.

use serde_json::Value;

use super::{PLANNED, kernel_install, plan, words};
use crate::harness::Machine;

fn writes<'a>(plan: &'a Value, program: &str) -> Vec<&'a str> {
    let commands = plan["commands"].as_array().expect("commands").iter();
    let of = commands.clone().find(|command| command["argv"][0] == program);
    words(of.unwrap_or_else(|| panic!("no {program}")), "writes")
}

#[test]
fn every_command_says_what_it_writes() {
    for (host, args) in PLANNED {
        let plan = plan(&Machine::new(host), args);
        for command in plan["commands"].as_array().expect("commands") {
            let paths = words(command, "writes");
            assert!(!paths.is_empty(), "{host}: {command}");
            for path in paths {
                let (dir, name) = path.rsplit_once('/').expect("an absolute path");
                let valid = path.starts_with('/') && !dir.contains('*') && !name.is_empty();
                assert!(valid && !path.contains("/../"), "{host}: {path}");
            }
        }
    }
}

#[test]
fn generators_and_menus() {
    let grub = plan(&Machine::new("z690-arch-iommu-off"), &[]);
    assert_eq!(writes(&grub, "mkinitcpio"), ["/boot/initr*"]);
    assert_eq!(writes(&grub, "grub-mkconfig"), ["/boot/grub/grub.cfg"]);
    let debian = plan(&Machine::new("b450-debian-dirty-group"), &["08:00.0"]);
    assert_eq!(writes(&debian, "update-initramfs"), ["/boot/initr*"]);
    assert_eq!(writes(&debian, "update-grub"), ["/boot/grub/grub.cfg"]);
    let centos = plan(&Machine::new("z270-centos7-twins"), &["02:00.0"]);
    assert_eq!(writes(&centos, "dracut"), ["/boot/initr*"]);
    assert_eq!(writes(&centos, "grub2-mkconfig"), ["/boot/grub2/grub.cfg"]);
}

#[test]
fn images_that_presets_name() {
    let machine = Machine::new("z490-arch").write(
        "etc/mkinitcpio.d/linux.preset",
        "PRESETS=('default' 'fallback' 'third')\n\
         default_uki=\"/efi/EFI/Linux/arch-linux.efi\"\n\
         fallback_image='/boot/initramfs-linux-fallback.img'\n\
         third_image=/boot/arch/linux.img\nthird_uki=/efi/../etc/x\nother_image=/x\n",
    );
    let plan = plan(&machine, &[]);
    assert_eq!(
        writes(&plan, "mkinitcpio"),
        ["/boot/arch/linux.img", "/boot/initr*", "/efi/EFI/Linux/arch-linux.efi"]
    );
}

#[test]
fn what_kernel_install_writes() {
    let (token, release) = (kernel_install::TOKEN, kernel_install::RELEASE);
    let beside = format!("/boot/{token}/{release}/*");
    let entries = "/boot/loader/entries/*.conf";
    let machine = kernel_install::machine();
    let by_name = plan(&machine, &[]);
    assert_eq!(writes(&by_name, "kernel-install"), ["/boot/initr*", entries, &beside]);
    let all = plan(&machine.write("usr/bin/reinstall-kernels", ""), &[]);
    assert_eq!(writes(&all, "reinstall-kernels"), ["/boot/initr*", entries, &beside]);
    let debian = kernel_install::with_debians_hook(kernel_install::machine())
        .write("usr/lib/modules/6.6.1/modules.dep", "")
        .write("usr/lib/modules/6.6.1/modules.alias", "");
    let older = format!("/boot/{token}/6.6.1/*");
    let mut expected = vec![older.as_str(), &beside, "/boot/initr*", entries];
    expected.sort();
    assert_eq!(writes(&plan(&debian, &[]), "update-initramfs"), expected);
}
