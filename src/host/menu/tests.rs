use super::*;
use crate::host::rom::Probe;
use crate::sys::{Node, Tree, host_tree};

fn tree(host: &str) -> Tree {
    host_tree(host).unwrap().unwrap()
}

fn put(tree: &mut Tree, path: &str, text: &str) {
    tree.insert(path, Node::File { bytes: text.as_bytes().to_vec(), meta: None });
}

fn menu(tree: Tree) -> Observed<Vec<MenuEntry>> {
    let root = Sysroot::from_tree(tree);
    let host = Host::read(&root, Probe::No);
    read(&root, &host)
}

fn with_grub(text: &str) -> Observed<Vec<MenuEntry>> {
    let mut tree = tree("h170-mint-turing");
    put(&mut tree, "boot/grub/grub.cfg", text);
    menu(tree)
}

const TWO: &str = "### BEGIN /etc/grub.d/10_linux ###
menuentry 'Mint' --id simple {
 linux /@/boot/vmlinuz-6.8.0-90-generic root=/dev/sda1 quiet -- init
 initrd (hd0,1)/amd-ucode.img /initrd.img-6.8.0-90-generic /no/where
}
### END /etc/grub.d/10_linux ###
### BEGIN /etc/grub.d/30_os-prober ###
menuentry 'Other' {
 linux /vmlinuz root=/dev/sdb1
}
### END /etc/grub.d/30_os-prober ###
### BEGIN /etc/grub.d/45_passthru ###
menuentry 'Mint (as before passthru)' {
 linux /boot/vmlinuz-6.8.0-90-generic.efi.signed root=/dev/sda1
}
### END /etc/grub.d/45_passthru ###
";

#[test]
fn entries_of_grub_are_those_of_this_system() {
    let entries = with_grub(TWO).into_present().unwrap();
    let [mint, kept] = entries.as_slice() else { panic!("{entries:#?}") };
    assert_eq!(mint.place, "/boot/grub/grub.cfg");
    assert_eq!(mint.id.as_deref(), Some("simple"));
    assert_eq!(mint.words, ["root=/dev/sda1", "quiet"], "what follows -- is for init");
    assert_eq!(mint.linux, "boot/vmlinuz-6.8.0-90-generic");
    let images = ["amd-ucode.img", "boot/initrd.img-6.8.0-90-generic", "no/where"];
    assert_eq!(mint.initrds, images);
    assert_eq!(mint.images().collect::<Vec<_>>(), images[1..]);
    assert_eq!(mint.release(), Some("6.8.0-90-generic"));
    assert_eq!(kept.section.as_deref(), Some("45_passthru"));
    assert_eq!(kept.release(), Some("6.8.0-90-generic"));
}

#[test]
fn a_menu_that_is_not_understood_is_unreadable() {
    let cut = with_grub(TWO.split_once("initrd").unwrap().0);
    let Observed::Unreadable(reason) = cut else { panic!("{cut:?}") };
    assert!(reason.starts_with("/boot/grub/grub.cfg: line 2 "), "{reason}");
    let root = Sysroot::from_tree(tree("x570-popos-kernelstub"));
    assert!(read(&root, &Host::read(&root, Probe::No)).is_unreadable());
}

const OPTIONS: &str = "root=PARTUUID=00000000-0000-0000-0000-000000000002 rw";

#[test]
fn entries_of_systemd_boot_are_those_with_the_same_root() {
    let mut tree = tree("z490-arch");
    let dir = "boot/loader/entries";
    let lts = format!(
        "title Arch\nlinux /vmlinuz-linux\ninitrd /no.img\noptions {OPTIONS}\noptions a -- b\n"
    );
    put(&mut tree, &format!("{dir}/arch-lts+3.conf"), &lts);
    put(&mut tree, &format!("{dir}/other.conf"), "linux /x\noptions root=/dev/sdb1\n");
    put(&mut tree, &format!("{dir}/auto-x.conf"), &lts);
    put(&mut tree, &format!("{dir}/shell.conf"), &format!("efi /shell\noptions {OPTIONS}\n"));
    let release = format!("linux /0123/6.1.0-9-amd64/linux\noptions {OPTIONS}\n");
    put(&mut tree, &format!("{dir}/id-6.1.0-9-amd64.conf"), &release);
    let entries = menu(tree).into_present().unwrap();
    let [lts, arch, installed] = entries.as_slice() else { panic!("{entries:#?}") };
    assert_eq!(arch.title, "Arch Linux");
    assert_eq!(arch.initrds, ["boot/intel-ucode.img", "boot/initramfs-linux.img"]);
    assert_eq!(arch.images().collect::<Vec<_>>(), ["boot/initramfs-linux.img"]);
    assert_eq!((arch.linux.as_str(), arch.release()), ("boot/vmlinuz-linux", None));
    assert_eq!(lts.id.as_deref(), Some("arch-lts"));
    assert_eq!(lts.words, ["root=PARTUUID=00000000-0000-0000-0000-000000000002", "rw", "a"]);
    assert_eq!(lts.initrds, ["boot/no.img"], "what is nowhere keeps its name");
    assert_eq!(installed.title, "id-6.1.0-9-amd64.conf");
    assert_eq!(installed.release(), Some("6.1.0-9-amd64"));
}

/// Before the reboot the entry has words that the running kernel did not get.
#[test]
fn a_changed_entry_is_still_one_of_this_system() {
    let with = |cmdline: &str| {
        let mut tree = tree("z490-arch");
        let selected = "LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
        put(&mut tree, &format!("sys/firmware/efi/efivars/{selected}"), "");
        put(&mut tree, "proc/cmdline", cmdline);
        let text = format!("title Arch\nlinux /vmlinuz-linux\noptions {OPTIONS} new.word=1\n");
        put(&mut tree, "boot/loader/entries/arch.conf", &text);
        menu(tree)
    };
    let entries = with(&format!("{OPTIONS} quiet\n")).into_present().unwrap();
    assert_eq!(entries[0].words.last().map(String::as_str), Some("new.word=1"));
    assert!(with("quiet\n").is_unreadable());
}

#[test]
fn an_entry_that_cannot_be_read_hides_the_menu() {
    let mut tree = tree("z490-arch");
    tree.insert("boot/loader/entries/b.conf", Node::Unreadable("denied".to_owned()));
    assert_eq!(menu(tree), Observed::Unreadable("/boot/loader/entries/b.conf: denied".to_owned()));
}
