use proptest::prelude::*;

use super::*;

#[test]
fn a_wish_reads_back_and_nothing_unknown_is_accepted() {
    let spec = VmSpec {
        version: VERSION,
        os: Some(Windows::Win11),
        cpus: Some(8),
        memory: Some(Size(16 * GIB)),
        disk: Some(Disk::New(Size(50 * GIB))),
        network: Some(Network::Bridge("br0".to_owned())),
        iso: Some("/srv/Win 11 \"x\".iso".to_owned()),
        virtio_iso: None,
        tpm: Some(true),
        secure_boot: Some(false),
        hide_hypervisor: Some(true),
        accelerator: Some(Accelerator::Tcg),
    };
    assert_eq!(VmSpec::parse(&spec.render()), Ok(spec));
    let error = |text: &str| VmSpec::parse(text).expect_err(text).to_string();
    assert!(error("version = 1\nram = 4\n").contains("unknown field `ram`"));
    assert!(error("cpus = 4\n").contains("missing field `version`"));
    assert!(error("version = 2\n").contains("version 2"));
    assert!(error("version = 1\nmemory = \"4\"\n").contains("`4` is no size"));
    assert!(error("version = 1\ncpus = -1\n").contains("cpus"));
}

#[test]
fn words_mean_one_thing() {
    assert_eq!("50G".parse(), Ok(Size(50 * GIB)));
    assert_eq!("512MiB".parse(), Ok(Size(512 * MIB)));
    for bad in ["", "G", "50", "-1G", "0G", "1.5G", "99999999999999T", "50g", "1 G", "é"] {
        assert!(bad.parse::<Size>().is_err(), "{bad}");
    }
    assert_eq!("/dev/vg/w".parse(), Ok(Disk::Path("/dev/vg/w".to_owned())));
    let (pool, volume) = ("fast".to_owned(), "w.qcow2".to_owned());
    assert_eq!("fast/w.qcow2".parse(), Ok(Disk::Volume { pool, volume }));
    for bad in ["", "w.qcow2", "/a\n", "a/b/c", "-a/b", "../x", "a/"] {
        assert!(bad.parse::<Disk>().is_err(), "{bad}");
    }
    assert_eq!("macvtap:eno1".parse(), Ok(Network::Macvtap("eno1".to_owned())));
    for bad in ["", "bridge:", "nat:x", "a b", "-x", "bridge:a:b"] {
        assert!(bad.parse::<Network>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn sizes_read_back(bytes in 1_u64..1 << 30) {
        let size = Size(bytes * MIB);
        prop_assert_eq!(size.to_string().parse(), Ok(size));
    }

    #[test]
    fn any_path_reads_back(path in "/[^\\p{Cc}]{1,30}") {
        let spec = VmSpec { version: VERSION, iso: Some(path), ..VmSpec::default() };
        prop_assert_eq!(VmSpec::parse(&spec.render()), Ok(spec));
    }
}
