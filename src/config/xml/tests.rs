use proptest::prelude::*;

use super::{Edits, Element, Written};

const DOMAIN: &str = "<?xml version='1.0'?>\n<!-- mine -->\n<domain type='kvm'>\n  <name>a &amp; b</name>\n  \
    <devices>\n    <!-- kept -->\n    <disk  type = \"file\" />\n\n  </devices>\n  <metadata/>\n</domain>\n";

#[test]
fn elements_know_their_place() {
    let root = Element::parse(DOMAIN).expect("XML");
    assert_eq!(root.attribute("type"), Some("kvm"));
    assert_eq!(root.text_at(&["name"]), Some("a & b"));
    let disk = root.at(&["devices", "disk"]).expect("a disk");
    assert_eq!(&DOMAIN[disk.span.clone()], "<disk  type = \"file\" />");
    assert_eq!(disk.attribute("type"), Some("file"));
    assert_eq!(disk.inside, None);
}

#[test]
fn what_is_appended_can_be_removed_to_the_byte() {
    for path in [["devices"], ["metadata"]] {
        let root = Element::parse(DOMAIN).expect("XML");
        let parent = root.at(&path).expect("it is there");
        let mut edits = Edits::of(DOMAIN);
        edits.append(parent, &["<x a='1'>\n  <y/>\n</x>".to_owned(), "<x/>".to_owned()]);
        let longer = edits.done();
        assert!(longer.contains("\n    <x a='1'>\n      <y/>\n    </x>\n    <x/>"), "{longer}");
        let root = Element::parse(&longer).expect("XML");
        let mut edits = Edits::of(&longer);
        root.at(&path).expect("it is there").all("x").for_each(|x| edits.remove(x));
        let back = edits.done();
        let as_pair = DOMAIN.replace("<metadata/>", "<metadata>\n  </metadata>");
        assert_eq!(back, if path == ["metadata"] { as_pair } else { DOMAIN.to_owned() });
    }
}

#[test]
fn what_is_put_behind_an_element_is_laid_out_as_it_is() {
    for (text, wanted) in [
        (DOMAIN, "  <name>a &amp; b</name>\n  <x>\n    <y/>\n  </x>\n  <devices>"),
        ("<a><name/></a>", "<a><name/><x><y/></x></a>"),
    ] {
        let root = Element::parse(text).expect("XML");
        let mut edits = Edits::of(text);
        edits.behind(root.child("name").expect("a name"), &["<x>\n  <y/>\n</x>".to_owned()]);
        let longer = edits.done();
        assert!(longer.contains(wanted), "{longer}");
        let root = Element::parse(&longer).expect("XML");
        let mut edits = Edits::of(&longer);
        edits.remove(root.child("x").expect("it is there"));
        assert_eq!(edits.done(), text);
    }
}

#[test]
fn texts_that_are_no_domain_are_refused_with_the_line() {
    for (text, wanted) in [
        ("", "line 1: it has no element"),
        ("<a>\n<b></a>", "line 2: "),
        ("<a>\n\n<b>", "line 3: <b> has no end"),
        ("<a/>\n<b/>", "line 2: it has more than one root element"),
        ("<!DOCTYPE a []><a/>", "line 1: it has a document type"),
        ("<a>&nope;</a>", "line 1: "),
        ("<a/>x", "line 1: it has text outside of its root element"),
        ("<a b='1' b='2'/>", "line 1: "),
    ] {
        let error = Element::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(wanted), "{text}: {error}");
    }
}

#[test]
fn what_is_written_reads_back() {
    let written = Written::new("a")
        .with("b", "it's <&>")
        .and(Written::text("c", "1 < 2"))
        .and(Written::new("e"));
    let text = written.render();
    assert_eq!(text, "<a b='it&apos;s &lt;&amp;&gt;'>\n  <c>1 &lt; 2</c>\n  <e/>\n</a>");
    let read = Element::parse(&text).expect("XML");
    assert_eq!(read.attribute("b"), Some("it's <&>"));
    assert_eq!(read.text_at(&["c"]), Some("1 < 2"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[<>/a'\"= &;!\\-\\[\\]\n?é]{0,60}") {
        let _ = Element::parse(&text);
    }
}
