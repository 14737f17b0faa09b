//! The example of `docs/scenario.md` is a scenario, and its defaults are the defaults.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

use std::path::Path;

use sealnic_sim::Scenario;

fn example() -> &'static str {
    let document = include_str!("../../docs/scenario.md");
    let (_, rest) = document.split_once("```toml\n").expect("an example");
    rest.split_once("```").expect("its end").0
}

fn parse(text: &str) -> Scenario {
    Scenario::parse(text, Path::new("docs/example.toml")).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_example_is_a_scenario() {
    let scenario = parse(example());
    assert_eq!(
        (scenario.hosts.len(), scenario.vnets.len(), scenario.vms.len()),
        (2, 2, 2)
    );
    assert_eq!(scenario.plan().pairs.len(), 2);
}

#[test]
fn what_is_marked_as_a_default_is_one() {
    let text = example();
    let full = parse(text);
    let association = text.find("[association]").expect("the table");
    let traffic = text.find("[traffic]").expect("the table");
    let optional = [
        "mtu = 1500",
        "accelerated_networking",
        "supported_sku",
        "ready",
        "discovery",
    ];
    let bare: String = format!("{}{}", &text[..association], &text[traffic..])
        .lines()
        .filter(|line| !optional.iter().any(|field| line.starts_with(field)))
        .map(|line| format!("{line}\n"))
        .collect();
    let bare = parse(&bare);
    assert_eq!(bare.vms, full.vms);
    let mut settings = full.association.clone();
    settings.states.clear();
    assert_eq!(bare.association, settings);
}
