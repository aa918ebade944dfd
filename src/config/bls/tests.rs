use proptest::prelude::*;

use super::loader::{Timeout, default_entry};
use super::order::menu;
use super::*;

const ENTRY: &str = "# made by hand\ntitle\tArch Linux\nsort-key arch\nversion 6.12.1\nlinux /vmlinuz\n\
    initrd /ucode.img\ninitrd /initrd.img\noptions root=UUID=1 rw\noptions   quiet splash  \n";

#[test]
fn keys_are_read_in_order() {
    let entry = Entry::parse(ENTRY);
    assert_eq!(entry.value("title"), Some("Arch Linux"));
    assert_eq!(entry.values("initrd"), ["/ucode.img", "/initrd.img"]);
    assert_eq!(entry.options(), "root=UUID=1 rw quiet splash");
    assert_eq!(Entry::parse("title \"A b\"\r\nx\n").values("title"), ["A b"]);
    assert_eq!(Entry::parse("title\nlinux /x").value("title"), None);
}

#[test]
fn words_go_to_the_last_options_line_and_leave_no_trace() {
    let entry = Entry::parse(ENTRY);
    let more = entry.add_options(&["rw", "iommu=pt", "a"]).unwrap();
    assert!(more.render().ends_with("options   quiet splash iommu=pt a  \n"));
    assert_eq!(more.add_options(&["a"]).unwrap(), more);
    assert_eq!(more.remove_options(&["iommu=pt", "a"]), entry);
    for bare in ["linux /x\n", "linux /x", ""] {
        let bare = Entry::parse(bare);
        let more = bare.add_options(&["a"]).unwrap();
        assert_eq!(more.options(), "a");
        assert_eq!(more.remove_options(&["a"]), bare);
    }
    let quoted = Entry::parse("options \"q r\"=1\n");
    assert!(quoted.add_options(&["a=\"x y\""]).is_err());
    assert_eq!(quoted.add_options(&["a"]).unwrap().render(), "options \"q r\"=1 a\n");
    let later = Entry::parse("options a -- 3\noptions a\n").remove_options(&["a"]);
    assert_eq!(later.render(), "options -- 3\noptions a\n");
    let init = Entry::parse("options a -- 3\noptions 4\n");
    assert_eq!(init.add_options(&["x"]).unwrap().render(), "options a x -- 3\noptions 4\n");
    assert!(entry.add_options(&["x y"]).is_err());
}

#[test]
fn title_and_keys_change_alone() {
    let entry = Entry::parse(ENTRY).without_key("sort-key").with_title("Fallback");
    assert_eq!(
        entry.render(),
        ENTRY.replace("sort-key arch\n", "").replace("Arch Linux", "Fallback")
    );
    assert_eq!(Entry::parse("linux /x\n").with_title("a\nb").render(), "title a b\nlinux /x\n");
}

#[test]
fn boot_counters_are_not_part_of_the_id() {
    assert_eq!(split_counter("x+3-1.conf"), ("x.conf".into(), Some((3, 1))));
    assert_eq!(split_counter("a+b+0.conf"), ("a+b.conf".into(), Some((0, 0))));
    for name in [
        "x.conf",
        "x+.conf",
        "x+3-.conf",
        "x+-1.conf",
        "x+3a.conf",
        "x+99999999999.conf",
        "+",
        "é.conf",
    ] {
        assert_eq!(split_counter(name), (name.into(), None));
    }
}

fn listed(file: &str, text: &str) -> Listed {
    Listed::new(file, &Entry::parse(text)).unwrap()
}

#[test]
fn the_menu_is_ordered_as_systemd_boot_orders_it() {
    let entries = [
        listed("z-plain.conf", ""),
        listed("old-9.conf", ""),
        listed("old-10.conf", ""),
        listed("k1.conf", "sort-key b\nversion 6.9"),
        listed("k2.conf", "sort-key b\nversion 6.10"),
        listed("k3.conf", "sort-key b\nversion 9\nmachine-id z"),
        listed("k4.conf", "sort-key a"),
        listed("k5+0-3.conf", "sort-key 0"),
    ];
    let order: Vec<_> = menu(&entries).iter().map(|e| e.file.as_str()).collect();
    let expected = [
        "k4.conf",
        "k2.conf",
        "k1.conf",
        "k3.conf",
        "z-plain.conf",
        "old-10.conf",
        "old-9.conf",
        "k5+0-3.conf",
    ];
    assert_eq!(order, expected);
    for name in ["auto-x.conf", ".x.conf", "x.cfg"] {
        assert!(Listed::new(name, &Entry::parse("")).is_none(), "{name}");
    }
}

#[test]
fn loader_conf_names_the_default() {
    let conf = LoaderConf::parse(
        "#timeout 1\ntimeout 3\ndefault Arch-*.conf\ndefault @other\nconsole-mode max\n",
    );
    assert_eq!((conf.default.as_deref(), conf.timeout), (Some("arch-*.conf"), Timeout::Seconds(3)));
    assert_eq!(LoaderConf::parse("").timeout, Timeout::Unset);
    assert_eq!(LoaderConf::parse("timeout 0\ntimeout x").timeout, Timeout::Hidden);
    let entries = [listed("arch-a.conf", ""), listed("Arch-B+2.conf", ""), listed("zz.conf", "")];
    let chosen = |default| default_entry(&entries, default).map(|e| e.file.as_str());
    assert_eq!(chosen(Some("arch-*.conf")), Some("Arch-B+2.conf"));
    assert_eq!(chosen(Some("arch")), Some("zz.conf"));
    assert_eq!(chosen(None), Some("zz.conf"));
    assert_eq!(chosen(Some("@saved")), None);
}

#[test]
fn a_fallback_name_never_selects_itself() {
    let entry = Entry::parse(ENTRY).without_key("sort-key");
    let name = |existing: &[Listed], default| {
        name_beside(existing, default, "arch.conf", "-fallback", &entry)
    };
    let arch = listed("arch.conf", "");
    assert_eq!(
        name(std::slice::from_ref(&arch), Some("arch.conf")).as_deref(),
        Some("arch-fallback.conf")
    );
    assert_eq!(name(std::slice::from_ref(&arch), Some("*")).as_deref(), Some("arch-fallback.conf"));
    let saved = name(std::slice::from_ref(&arch), Some("@saved"));
    assert_eq!(saved.as_deref(), Some("arch-fallback.conf"), "behind all others");
    let older = [arch.clone(), listed("aaa.conf", ""), listed("bad+0.conf", "")];
    assert_eq!(name(&older, None).as_deref(), Some("~arch-fallback.conf"));
    assert_eq!(name(&[arch], Some("*fallback*")), None);
    assert_eq!(
        name(&[listed("arch.conf", "sort-key a")], None).as_deref(),
        Some("arch-fallback.conf")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_kept_and_additions_are_undone(
        text in "(options |title |a|b=1| |\t|\n|\r|#|--|\"|é|linux /x\n){0,14}",
    ) {
        let entry = Entry::parse(&text);
        prop_assert_eq!(entry.render(), &text);
        let _ = (entry.without_key("options"), entry.with_title("x"), LoaderConf::parse(&text));
        let Ok(more) = entry.add_options(&["new", "x=2"]) else { return Ok(()) };
        let had: Vec<&str> = vec!["new", "x=2"];
        let found = Cmdline::parse(&more.options());
        prop_assert!(had.iter().all(|word| found.contains_word(word)), "{:?}", more.render());
        let undone = more.remove_options(&had);
        prop_assert_eq!(undone.render(), &text);
    }

    #[test]
    fn a_fallback_is_not_the_default(
        files in prop::collection::vec("[a0-2~+.-]{1,4}\\.conf", 1..4),
        keys in prop::collection::vec("(sort-key a)?", 4),
        default in prop::option::of("[a0-2*?~-]{0,4}(\\.conf)?"),
    ) {
        let entries = files.iter().zip(&keys);
        let existing: Vec<Listed> = entries.filter_map(|(f, k)| Listed::new(f, &Entry::parse(k))).collect();
        let entry = Entry::parse("linux /x");
        if let Some(name) = name_beside(&existing, default.as_deref(), &files[0], "-fallback", &entry) {
            let mut all = existing.clone();
            all.extend(Listed::new(&name, &entry));
            prop_assert_eq!(all.len(), existing.len() + 1);
            prop_assert_ne!(default_entry(&all, default.as_deref()).map(|e| e.file.clone()), Some(name));
        }
    }
}
