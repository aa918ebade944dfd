use super::*;

fn config(files: &[(&str, &str)]) -> ModprobeConfig {
    let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    ModprobeConfig::from_files(files.iter().map(owned).collect())
}

#[test]
fn directives_keep_spelling_and_line() {
    let lines = parse(
        "# options x \\\n y\n\noptions  vfio-pci ids=10de:2684,\\\n10de:22ba dis=\"a b\"\r\n\
         softdep amd-gpu post: z pre: vfio-pci  a\n\tinstall nouveau /bin/false; x  \n\
         blacklist nouveau\nalias pci:v*[0-9-]d-* my-mod\nremove a b\nfoo bar baz\nblacklist\noptions x\n",
    );
    let places: Vec<usize> = lines.iter().map(|line| line.line).collect();
    assert_eq!(places, [4, 6, 7, 8, 9, 10, 11, 12, 13]);
    let Directive::Options { module, params } = &lines[0].directive else { panic!() };
    assert_eq!((module.spelt.as_str(), module.normal.as_str()), ("vfio-pci", "vfio_pci"));
    assert_eq!(params, &["ids=10de:2684,10de:22ba", "dis=\"a b\""]);
    let Directive::Softdep { module, pre, post } = &lines[1].directive else { panic!() };
    assert!(module.is("amd_gpu") && pre[0].is("vfio_pci") && pre[1].is("a") && post[0].is("z"));
    let Directive::Install { command, .. } = &lines[2].directive else { panic!() };
    assert_eq!(command, "/bin/false; x  ");
    let Directive::Alias { pattern, module } = &lines[4].directive else { panic!() };
    assert_eq!((pattern.normal.as_str(), module.normal.as_str()), ("pci:v*[0-9-]d_*", "my_mod"));
    assert!(lines[6..].iter().all(|line| matches!(line.directive, Directive::Unknown { .. })));
}

#[test]
fn the_same_name_in_an_earlier_directory_masks() {
    let all = config(&[
        ("/usr/lib/modprobe.d/b.conf", "options vfio-pci ids=1:1"),
        ("/etc/modprobe.d/b.conf", "options vfio_pci ids=2:2"),
        ("/etc/modprobe.d/z.conf.bak", "options vfio_pci ids=3:3"),
        ("/run/modprobe.d/a.conf", "options vfio_pci x=1 ids=4:4"),
    ]);
    let values: Vec<_> = all.vfio_ids().all.iter().map(|p| (p.path, p.what)).collect();
    assert_eq!(values, [("/run/modprobe.d/a.conf", "4:4"), ("/etc/modprobe.d/b.conf", "2:2")]);
    assert_eq!(all.vfio_ids().effective().map(|p| p.what), Some("2:2"));
    assert_eq!(all.ignored().len(), 2);
    assert_eq!(all.ignored()[1].masked_by.as_deref(), Some("/etc/modprobe.d/b.conf"));
}

#[test]
fn the_first_softdep_and_install_line_count() {
    let all = config(&[
        (
            "/etc/modprobe.d/b.conf",
            "softdep nouveau pre: vfio-pci\ninstall nouveau /bin/x\nblacklist nou-veau",
        ),
        ("/etc/modprobe.d/a.conf", "install nou* /bin/false\nsoftdep nouveau post: drm"),
        ("/etc/modprobe.d/c.conf", "softdep amdgpu pre: vfio-pci"),
    ]);
    assert!(!all.loads_before("vfio_pci", "nouveau"));
    assert!(all.loads_before("vfio_pci", "amdgpu"));
    assert_eq!(all.softdeps("nouveau").len(), 2);
    assert_eq!(all.install_line("nouveau").map(|p| p.what), Some("/bin/false"));
    assert_eq!(
        all.blacklisted("nou_veau").first().map(|p| (p.path, p.line)),
        Some(("/etc/modprobe.d/b.conf", 3))
    );
    assert!(all.blacklisted("nouveau").is_empty());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_read(text in "(?s).{0,80}", likely in "(options|softdep|install|alias| |\\\\|\n|#|\"|a-b|pre:|\r){0,20}") {
        let _ = (parse(&text), parse_ids(&text));
        for line in parse(&likely) {
            proptest::prop_assert!(line.line <= likely.matches('\n').count() + 1);
        }
    }
}
