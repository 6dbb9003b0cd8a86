use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn matches(text: &str, labels: &[(&'static str, &'static str)]) -> bool {
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches(|label| labels.get(label).copied())
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_write() {
    let rows: [(&str, &str, &str, &str); 24] = [
        ("a = 'x'", "=", "`=` alone is no operator", "write `==`"),
        ("a == 'x' & b == 'y'", "&", "`&` alone", "write `&&`"),
        ("a == 'x' | b == 'y'", "|", "`|` alone", "write `||`"),
        ("team", "team", "a label alone is no term", "has(label)"),
        ("team && has(b)", "team", "a label alone is no term", "has(label)"),
        ("a == x", "x", "not `x`", "put the value in quotes: 'x'"),
        ("a == ", "", "after `==` comes a value", "'value'"),
        ("a == 'x'\n", "\n", "a new line is not white space", ">-"),
        ("\rall()", "\r", "a carriage return", ">-"),
        ("a ==\u{a0}'x'", "\u{a0}", "is not white space", "only spaces and tabs"),
        ("has (a)", "has (", "no space may stand between `has` and `(`", "write `has(`"),
        ("all ()", "all (", "no space may stand between `all` and `(`", "write `all(`"),
        ("a like 'x'", "like", "`like` is no operator", "contains"),
        ("a not 'x'", "not", "`not` is no operator", "not in {…}"),
        ("a starts 'x'", "starts", "`starts` is no operator", "starts with '…'"),
        ("a in 'x'", "'", "a set in braces is missing", "{'a', 'b'}"),
        ("a in {'x' 'y'}", "{'x' ", "the set is not closed", "commas"),
        ("(has(a)", "(", "the parenthesis is not closed", ""),
        ("!( has(a) && ( has(b) )", "(", "the parenthesis is not closed", ""),
        ("has(a))", ")", "nothing opened this parenthesis", ""),
        ("a == 'x", "'x", "the quote is not closed", "no escapes"),
        ("has(a) has(b)", "has", "`&&` or `||` is missing before `has`", "join"),
        ("has(a) && ", "", "a term is missing at the end", ""),
        ("has('a')", "'", "`has(` needs a label name", "without quotes"),
    ];
    for (text, at, says, hint) in rows {
        let error = Selector::parse(text).expect_err(text);
        assert_eq!(&text[error.span.clone()], at, "{text:?}: {error} at {:?}", error.span);
        assert!(error.to_string().contains(says), "{text:?}: {error}");
        assert_eq!(error.hint().is_none(), hint.is_empty(), "{text:?}: {:?}", error.hint());
        assert!(error.hint().unwrap_or_default().contains(hint), "{text:?}: {:?}", error.hint());
    }
}

#[test]
fn without_the_label_only_negative_operators_hold() {
    let rows = [
        ("a == 'x'", false),
        ("a in {'x'}", false),
        ("a contains ''", false),
        ("a starts with ''", false),
        ("a ends with ''", false),
        ("has(a)", false),
        ("a != 'x'", true),
        ("a not in {'x'}", true),
        ("a not in {}", true),
        ("a in {}", false),
        ("!(a == 'x')", true),
        ("all()", true),
        ("global()", true),
        (" \t", true),
        ("!all()", false),
    ];
    for (text, expected) in rows {
        assert_eq!(matches(text, &[]), expected, "{text}");
    }
    for (text, expected) in [("a not in {}", true), ("a in {}", false), ("a contains ''", true), ("a != 'x'", false)] {
        assert_eq!(matches(text, &[("a", "x")]), expected, "{text}");
    }
}

#[test]
fn and_binds_before_or_and_each_node_knows_its_place() {
    let text = "has(a) || !( has(b)&&c in {'z','y','z'} )";
    let selector = Selector::parse(text).unwrap();
    let parts: Vec<&str> = selector.nodes().iter().map(|node| &text[node.span.clone()]).collect();
    let last = "!( has(b)&&c in {'z','y','z'} )";
    assert_eq!(
        parts,
        ["has(a)", "has(b)", "c in {'z','y','z'}", "has(b)&&c in {'z','y','z'}", last, text],
        "an operator comes after its operands"
    );
    assert_eq!(selector.to_string(), "(has(a) || !(has(b) && c in {\"y\", \"z\"}))");
    assert!(matches("has(a) || has(b) && has(c)", &[("a", "")]), "&& binds before ||");
    assert_ne!(Selector::parse("(has(a) && has(b)) && has(c)"), Selector::parse("has(a) && has(b) && has(c)"));
}

#[test]
fn depth_and_length_overflow_nothing() {
    let deep = format!("{}has(a){}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(Selector::parse(&deep), Selector::parse("has(a)"));
    let nots = format!("{}has(a){}", "!(".repeat(10_001), ")".repeat(10_001));
    let selector = Selector::parse(&nots).unwrap();
    assert!(selector.matches(|_| None));
    assert_eq!(selector.to_string().len(), 10_001 + "has(a)".len());
    assert_eq!(Selector::parse(&selector.to_string()).unwrap(), Selector::parse("!has(a)").unwrap());
    let open = Selector::parse(&"(".repeat(MAX_TEXT)).unwrap_err();
    assert_eq!(open.problem, Problem::NoTerm(None));
    let long = Selector::parse(&"has(a) && ".repeat(1 << 20)).unwrap_err();
    assert_eq!(long.problem, Problem::TooLong);
    let wide = format!("{}has(a)", "has(a) && ".repeat(50_000));
    assert_eq!(Selector::parse(&wide).unwrap().nodes().len(), 50_002);
    assert_eq!(Selector::parse(&format!("{} == 'x'", "a".repeat(513))).unwrap_err().problem, Problem::LongLabel);
}

#[test]
fn a_global_policys_selectors_are_read_as_calico_combines_them() {
    type Row<'t> = (&'t str, &'t str, &'t str, Option<&'t str>, &'t [&'t str]);
    let rows: [Row<'_>; 9] = [
        ("", "", "", Some("all()"), &[]),
        ("", "team == 'x'", "", Some("pcns.team == \"x\""), &[]),
        ("a == 'b'", "team == 'x'", "", Some("(a == \"b\" && pcns.team == \"x\")"), &[]),
        ("", "all()", "", Some("has(projectcalico.org/namespace)"), &[]),
        (
            "all()",
            "",
            "all()",
            Some("(has(projectcalico.org/serviceaccount) && has(projectcalico.org/serviceaccount))"),
            &[],
        ),
        ("a == 'b'", "team = 'x'", "", Some("a == \"b\""), &["namespaceSelector"]),
        ("", "team = 'x'", "name = 'y'", Some("all()"), &["namespaceSelector", "serviceAccountSelector"]),
        ("a = 'b'", "team == 'x'", "", None, &[]),
        (" ", "team == 'x'", "", None, &[]),
    ];
    for (selector, namespaces, accounts, expected, vanished) in rows {
        let subject = GlobalSubject::new(selector, namespaces, accounts);
        let why = format!("{selector:?} {namespaces:?} {accounts:?}");
        assert_eq!(subject.selector.ok().map(|s| s.to_string()).as_deref(), expected, "{why}");
        assert_eq!(subject.vanished.iter().map(|(field, _)| *field).collect::<Vec<_>>(), vanished, "{why}");
    }
}

/// What Calico's own parser answered; `tests/calico-selector` says how that was recorded.
#[test]
fn calicos_recorded_answers_are_given_here_too() {
    let mut label_sets: Vec<BTreeMap<String, String>> = Vec::new();
    let (mut accepted, mut refused) = (0, 0);
    for line in include_str!("../../../tests/calico-selector/answers.tsv").lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let text = |field: &str| serde_json::from_str::<String>(field).unwrap();
        match fields.as_slice() {
            ["#", labels] => label_sets.push(serde_json::from_str(labels).unwrap()),
            [selector, "-"] => {
                let selector = text(selector);
                assert!(Selector::parse(&selector).is_err(), "Calico refuses {selector:?}");
                refused += 1;
            }
            [selector, canonical, matches] => {
                let selector = text(selector);
                let parsed = Selector::parse(&selector).unwrap_or_else(|error| panic!("{selector:?}: {error}"));
                assert_eq!(parsed.to_string(), text(canonical), "{selector:?}");
                let seen: String = label_sets
                    .iter()
                    .map(|labels| if parsed.matches(|label| labels.get(label).map(String::as_str)) { '1' } else { '0' })
                    .collect();
                assert_eq!(&seen, matches, "{selector:?} over {label_sets:?}");
                accepted += 1;
            }
            _ => panic!("a line of another form: {line}"),
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[^'\"]{0,4}", "[a-c']{0,3}", "[a-c\"]{0,3}"].prop_map(|value: String| {
        if value.contains('"') { format!("'{}'", value.replace('\'', "")) } else { format!("\"{value}\"") }
    })
}

fn selector() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["==", "!=", " contains ", " starts with ", " ends  with"]);
    let atom = prop_oneof![
        Just("all()".to_owned()),
        Just("global()".to_owned()),
        "[a-c]".prop_map(|label| format!("has({label})")),
        ("[a-c]", operator, value()).prop_map(|(label, operator, value)| format!("{label}{operator}{value}")),
        ("[a-c]", prop::bool::ANY, prop::collection::vec(value(), 0..3)).prop_map(|(label, negated, values)| {
            format!("{label} {}in {{{}}}", if negated { "not " } else { "" }, values.join(" ,"))
        }),
    ];
    atom.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| format!("!({inner})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && {b}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{a} || ({b})")),
        ]
    })
}

/// The kinds of a tree's nodes. Calico prints `!(!(a))` as `!!a`, and reads that as `a`.
fn without_double_negation(selector: &Selector) -> Vec<NodeKind> {
    let mut kinds: Vec<NodeKind> = Vec::new();
    for node in selector.nodes() {
        if node.kind == NodeKind::Not && kinds.last() == Some(&NodeKind::Not) {
            kinds.pop();
        } else {
            kinds.push(node.kind.clone());
        }
    }
    kinds
}

proptest! {
    #[test]
    fn a_printed_tree_parses_to_an_equal_tree(text in selector()) {
        let parsed = Selector::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let printed = parsed.to_string();
        let again = Selector::parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
        prop_assert_eq!(without_double_negation(&again), without_double_negation(&parsed), "{}", printed);
    }

    #[test]
    fn no_text_panics_and_every_span_lies_in_it(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        pieces in prop::collection::vec(prop::sample::select(vec![
            "a", "in", "not", "has(", "has", "all()", "(", ")", "{", "}", ",", "'x'", "\"", "=", "==", "!", "!=", "&&", "|", " ", "\n", "é",
        ]), 0..20),
    ) {
        for text in [String::from_utf8_lossy(&bytes).into_owned(), pieces.concat()] {
            match Selector::parse(&text) {
                Ok(selector) => {
                    selector.matches(|_| Some("x"));
                    for node in selector.nodes() {
                        prop_assert!(text.get(node.span.clone()).is_some(), "{:?}: {:?}", text, node);
                    }
                }
                Err(error) => {
                    prop_assert!(text.get(error.span.clone()).is_some(), "{:?}: {:?}", text, error);
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}
