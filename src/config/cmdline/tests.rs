use proptest::prelude::*;

use super::*;

#[test]
fn splits_and_unquotes_like_the_kernel() {
    let line = Cmdline::parse("a  b=\"c d\"\t\"e=f g\" =x=y \"h i\" k=l\"m n\" o= -- z=1\n");
    let all: Vec<_> = line.parameters().map(|p| (p.key, p.value)).collect();
    let expected = [
        ("a", None),
        ("b", Some("c d")),
        ("e", Some("f g")),
        ("=x", Some("y")),
        ("h i", None),
        ("k", Some("l\"m n\"")),
        ("o", Some("")),
    ];
    assert_eq!(all, expected);
    assert_eq!(line.init_arguments().collect::<Vec<_>>(), ["z=1"]);
    assert!(line.first("z").is_none());
}

#[test]
fn the_last_of_a_repeated_parameter_counts_in_any_spelling() {
    let line = Cmdline::parse("vfio-pci.ids=1:2 vfio_pci.ids=3:4,5:6 intel_iommu=on,sm_on");
    assert_eq!(line.last("vfio-pci.ids").and_then(|p| p.value), Some("3:4,5:6"));
    assert_eq!(line.first("vfio_pci.ids").and_then(|p| p.value), Some("1:2"));
    assert_eq!(line.values("vfio_pci.ids"), ["1:2", "3:4,5:6"]);
    assert_eq!(line.list_value("intel-iommu"), ["on", "sm_on"]);
    assert!(line.contains_word("intel_iommu=on,sm_on") && !line.contains_word("intel_iommu=on"));
    assert!(!line.contains_word("vfio_pci.ids"));
}

fn added(text: &str, words: &[&str]) -> String {
    Cmdline::parse(text).add(words).map(|line| line.render().to_owned()).unwrap_or_default()
}

#[test]
fn words_are_added_before_those_of_init() {
    assert_eq!(added("quiet  ro -- 3\n", &["x", "ro", "x"]), "quiet  ro x -- 3\n");
    assert_eq!(added("-- 3", &["x"]), "x -- 3");
    assert_eq!(added("\n", &["x", "y"]), "x y\n");
    assert_eq!(added("a \n", &["x"]), "a x \n");
}

#[test]
fn replacing_keeps_the_place_of_the_first() {
    let line = Cmdline::parse("a ids=1 b ids=2 c");
    assert_eq!(line.replace("ids", "ids=3").map(|l| l.to_string()), Ok("a ids=3 b c".into()));
    assert_eq!(
        line.replace("new", "new=1").map(|l| l.to_string()),
        Ok("a ids=1 b ids=2 c new=1".into())
    );
}

#[test]
fn refuses_words_that_would_not_stay_one_parameter() {
    let line = Cmdline::parse("a");
    for word in ["", "a b", "\"a", "--", "\"--\"", "a\n", " a"] {
        assert!(line.add(&[word]).is_err(), "{word:?}");
    }
    assert!(line.add(&["a=\"b c\""]).is_ok());
    assert!(Cmdline::parse("a=\"b").add(&["c"]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..Default::default() })]

    #[test]
    fn additions_are_kept_once_and_undone_exactly(
        text in "([a-c=\" \t\n-]|--| -- ){0,12}\n?",
        words in prop::collection::vec("[a-c]{1,2}(=\"x y\")?", 0..4),
    ) {
        let line = Cmdline::parse(&text);
        prop_assert_eq!(line.render(), &text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Ok(more) = line.add(&words) else { return Ok(()) };
        prop_assert_eq!(&more.add(&words).unwrap(), &more);
        let missing = line.missing(&words);
        let mut expected: Vec<&str> = line.parameters().map(|p| p.word).collect();
        expected.extend(missing.iter().map(String::as_str));
        prop_assert_eq!(more.parameters().map(|p| p.word).collect::<Vec<_>>(), expected);
        prop_assert!(more.init_arguments().eq(line.init_arguments()));
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        let undone = more.remove(&missing);
        prop_assert_eq!(undone.render(), &text);
    }

    #[test]
    fn any_text_is_kept(text in "(?s).{0,60}") {
        let line = Cmdline::parse(&text);
        prop_assert_eq!(line.render(), &text);
        let _ = (line.remove(&["a"]), line.replace("a", "b"), line.parameters().count());
    }
}
