//! Whether a domain that libvirt gives back is the one that it was given: it completes a
//! definition (addresses, controllers, a UUID), and takes nothing away.

use crate::config::xml::Element;

/// The first thing of a domain that another one has not.
pub fn missing(wanted: &Element, found: &Element) -> Option<String> {
    for (name, value) in &wanted.attributes {
        let has = found.attribute(name);
        if !name.starts_with("xmlns") && !has.is_some_and(|has| same(wanted, name, value, has)) {
            let has = has.map_or("nothing".to_owned(), |has| format!("'{has}'"));
            return Some(format!("<{}> has {name}={has}, not '{value}'", wanted.name));
        }
    }
    let own = wanted.text.trim();
    if !own.is_empty() && own != found.text.trim() {
        return Some(format!("<{}> holds '{}', not '{own}'", wanted.name, found.text.trim()));
    }
    let mut left: Vec<&Element> = found.children.iter().collect();
    for child in &wanted.children {
        let mut first = None;
        let place = left.iter().position(|candidate| {
            candidate.name == child.name && {
                let missing = missing(child, candidate);
                let is_there = missing.is_none();
                first = first.take().or(missing);
                is_there
            }
        });
        match place {
            Some(at) => drop(left.remove(at)),
            None => {
                let none = || format!("<{}> has no such <{}>", wanted.name, child.name);
                return Some(first.unwrap_or_else(none));
            }
        }
    }
    None
}

/// libvirt writes the newest machine type in the place of the alias `q35`.
fn same(element: &Element, name: &str, wanted: &str, found: &str) -> bool {
    wanted == found
        || (element.name == "type"
            && name == "machine"
            && wanted == "q35"
            && found.starts_with("pc-q35-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_is_allowed_and_loss_is_named() {
        let missing = |wanted: &str, found: &str| {
            missing(&Element::parse(wanted).expect("XML"), &Element::parse(found).expect("XML"))
        };
        let wanted = "<d><a n='1'/><b>x</b><type machine='q35'/></d>";
        let whole =
            "<d u='2'>\n<b> x </b><a/><a n='1' m='2'><c/></a> <type machine='pc-q35-9.0'/></d>";
        assert_eq!(missing(wanted, whole), None);
        let says = |from: &str, to: &str| missing(wanted, &whole.replace(from, to));
        assert_eq!(says("<b> x </b>", "").as_deref(), Some("<d> has no such <b>"));
        assert_eq!(says("n='1'", "n='2'").as_deref(), Some("<a> has n=nothing, not '1'"));
        assert_eq!(says(" x ", "y").as_deref(), Some("<b> holds 'y', not 'x'"));
        let i440fx = says("pc-q35-9.0", "pc-i440fx-9.0").expect("another machine");
        assert_eq!(i440fx, "<type> has machine='pc-i440fx-9.0', not 'q35'");
        assert_eq!(
            missing("<a><b/><b/></a>", "<a><b/></a>").as_deref(),
            Some("<a> has no such <b>")
        );
    }
}
