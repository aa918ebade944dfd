use proptest::prelude::*;

use super::{IdsIn, Intent};

fn intent() -> Intent {
    Intent {
        gpu: "0000:07:00.0".to_owned(),
        ids: vec!["1002:73ff:1462:5022".to_owned(), "1002:ab28:1002:ab28".to_owned()],
        ids_in: IdsIn::Modprobe,
        ignore_msrs: true,
        allow: vec!["gpu-boot-display".to_owned(), "only-gpu".to_owned()],
    }
}

#[test]
fn what_was_written_is_read() {
    let text = intent().render();
    assert!(text.starts_with("# Written by passthru. Take it back with: passthru undo\n"));
    assert_eq!(Intent::parse(&text), Ok(intent()));
    let plain =
        Intent { ids_in: IdsIn::CommandLine, ignore_msrs: false, allow: vec![], ..intent() };
    assert_eq!(Intent::parse(&plain.render()), Ok(plain.clone()));
    let short =
        "version = 1\ngpu = '0000:07:00.0'\nids = ['1002:73ff:1462:5022', '1002:ab28:1002:ab28']\n";
    assert_eq!(Intent::parse(short), Ok(plain));
}

#[test]
fn mistakes_are_named_with_their_line() {
    let good = intent().render();
    for (from, to, line, reason) in [
        ("version = 1", "version = 2", 5, "version 2 is not known here"),
        ("version = 1", "version = 'x'", 5, "invalid type"),
        ("version = 1\n", "", 1, "missing field `version`"),
        ("gpu = ", "gpuu = ", 6, "unknown field `gpuu`"),
        ("gpu = \"0000:07:00.0\"", "gpu = 7", 6, "invalid type"),
        ("0000:07:00.0", "07:00.0", 6, "is not a whole PCI address"),
        ("0000:07:00.0", "0000:07:20.0", 6, "is not a whole PCI address"),
        ("0000:07:00.0", "0000.07:00:0", 6, "is not a whole PCI address"),
        ("1002:ab28:", "1002:AB28:", 7, "is not vendor:device:subvendor:subdevice"),
        ("\"1002:73ff:1462:5022\", \"1002:ab28:1002:ab28\"", "", 7, "ids names no function"),
        ("ids-in = \"modprobe\"", "ids-in = \"here\"", 8, "unknown variant `here`"),
        ("ignore-msrs = true", "ignore-msrs = 1", 9, "invalid type"),
        ("\"only-gpu\"", "\"only gpu\\n\"", 10, "is not a code"),
        ("allow = ", "allow ", 10, ""),
        ("allow = ", "gpu = ", 10, "duplicate"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Intent::parse(&good.replacen(from, to, 1)).expect_err(to);
        assert_eq!(error.line, line, "{to}: {error}");
        assert!(error.reason.contains(reason), "{to}: {error}");
        assert!(!error.reason.contains('\n'), "{error}");
    }
}

#[test]
fn differences_are_named() {
    assert_eq!(intent().differences(&intent()), [""; 0]);
    let other = Intent { gpu: "0000:08:00.0".to_owned(), allow: vec![], ..intent() };
    assert_eq!(
        intent().differences(&other),
        ["gpu from 0000:07:00.0 to 0000:08:00.0", "allow from gpu-boot-display only-gpu to none"]
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(version = 1\n)?[ -~\n]{0,80}") {
        if let Err(error) = Intent::parse(&text) {
            prop_assert!(error.line <= text.lines().count().max(1) + 1);
        }
    }
}
