//! The decision against a table written down from the design, and against properties, over every input there is.

use sealnic_abi::object::AssociationState;
use sealnic_abi::{Capability, Enforcement};
use sealnic_policy::{End, Fate, Relation, Situation, decide};

/// Marks of a situation, computed without regard to order or precedence.
const OUTSIDE: u16 = 1 << 0;
const SAME_HOST: u16 = 1 << 1;
const EXCLUDED: u16 = 1 << 2;
/// Encryption is off at one end at least.
const PLAIN: u16 = 1 << 3;
/// An end has DropUnencrypted.
const DEMANDED: u16 = 1 << 4;
const HARDWARE: u16 = 1 << 5;
const NOT_READY: u16 = 1 << 6;
const NO_DISCOVERY: u16 = 1 << 7;
const ASSOCIATING: u16 = 1 << 8;
const FAILED: u16 = 1 << 9;
const READY: u16 = 1 << 10;

const TROUBLE: u16 = HARDWARE | NOT_READY | NO_DISCOVERY;
const ELSEWHERE: u16 = OUTSIDE | SAME_HOST | EXCLUDED;

/// (marks that must be there, marks that must not, code, fate). Each situation fits exactly one row.
const TABLE: &[(u16, u16, &str, &str)] = &[
    // Outside the VNet and its peers.
    (OUTSIDE, 0, "NX", "clear"),
    // Same host.
    (SAME_HOST | PLAIN, 0, "NX", "local"),
    (SAME_HOST, PLAIN, "NX_LOCAL_DST", "local"),
    // Named exclusion.
    (EXCLUDED, OUTSIDE | SAME_HOST, "NX", "clear"),
    // Encryption off at either end's VNet.
    (PLAIN, ELSEWHERE | DEMANDED, "NX", "clear"),
    (PLAIN | DEMANDED, ELSEWHERE, "NX_NOT_ACCEPTED", "drop"),
    // Hardware known not to support it.
    (HARDWARE, ELSEWHERE | PLAIN | DEMANDED, "NX_HW_NOT_SUPPORTED", "clear"),
    (HARDWARE | DEMANDED, ELSEWHERE | PLAIN, "NX_HW_NOT_SUPPORTED", "drop"),
    // Not ready yet: the end itself, or the association.
    (NOT_READY, ELSEWHERE | PLAIN | HARDWARE, "NX_SW_NOT_READY", "drop"),
    (ASSOCIATING, ELSEWHERE | PLAIN | TROUBLE, "NX_SW_NOT_READY", "drop"),
    // No discovery.
    (
        NO_DISCOVERY,
        ELSEWHERE | PLAIN | HARDWARE | NOT_READY,
        "NX_NOT_SUPPORTED",
        "drop",
    ),
    // Association declared failed.
    (FAILED, ELSEWHERE | PLAIN | TROUBLE | DEMANDED, "NX_FALLBACK", "clear"),
    (
        FAILED | DEMANDED,
        ELSEWHERE | PLAIN | TROUBLE,
        "NX_NOT_ACCEPTED",
        "drop",
    ),
    // Association ready.
    (READY, ELSEWHERE | PLAIN | TROUBLE, "X", "seal"),
];

fn marks(s: &Situation) -> u16 {
    let ends = [s.local, s.peer];
    let any = |test: &dyn Fn(&End) -> bool, mark: u16| if ends.iter().any(test) { mark } else { 0 };
    let relation = match s.relation {
        Relation::Outside => OUTSIDE,
        Relation::SameHost => SAME_HOST,
        Relation::OtherHost(AssociationState::NotReady) => ASSOCIATING,
        Relation::OtherHost(AssociationState::Failed) => FAILED,
        Relation::OtherHost(AssociationState::Ready) => READY,
    };
    relation
        | if s.excluded { EXCLUDED } else { 0 }
        | any(&|e| !e.encryption, PLAIN)
        | any(&|e| e.enforcement == Enforcement::DropUnencrypted, DEMANDED)
        | any(&|e| e.capability == Capability::HwNotSupported, HARDWARE)
        | any(&|e| e.capability == Capability::SwNotReady, NOT_READY)
        | any(&|e| e.capability == Capability::NoDiscovery, NO_DISCOVERY)
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Clear => "clear",
        Fate::Seal => "seal",
        Fate::Local => "local",
        Fate::Drop => "drop",
    }
}

/// Every situation there is: 5 relations, excluded or not, 16 states of each end.
fn situations() -> Vec<Situation> {
    let relations = [Relation::Outside, Relation::SameHost]
        .into_iter()
        .chain(AssociationState::ALL.iter().copied().map(Relation::OtherHost));
    let mut ends = Vec::new();
    for encryption in [false, true] {
        for &enforcement in Enforcement::ALL {
            for &capability in Capability::ALL {
                ends.push(End {
                    encryption,
                    enforcement,
                    capability,
                });
            }
        }
    }
    let mut all = Vec::new();
    for relation in relations {
        for excluded in [false, true] {
            for &local in &ends {
                for &peer in &ends {
                    all.push(Situation {
                        relation,
                        excluded,
                        local,
                        peer,
                    });
                }
            }
        }
    }
    assert_eq!(all.len(), 5 * 2 * 16 * 16);
    all
}

#[test]
fn every_situation_fits_one_row_of_the_table_and_is_decided_as_it_says() {
    let mut used = vec![0usize; TABLE.len()];
    for s in situations() {
        let marks = marks(&s);
        let rows: Vec<usize> = (0..TABLE.len())
            .filter(|&i| marks & TABLE[i].0 == TABLE[i].0 && marks & TABLE[i].1 == 0)
            .collect();
        let [row] = rows[..] else {
            panic!("{s:?} fits rows {rows:?}")
        };
        used[row] += 1;
        let decision = decide(&s);
        let (_, _, code, fate) = TABLE[row];
        assert_eq!(
            (decision.code.flow_log_name(), fate_name(decision.fate)),
            (code, fate),
            "{s:?}, row {row}"
        );
    }
    assert!(used.iter().all(|&n| n > 0), "rows that nothing fits: {used:?}");
}

#[test]
fn the_decision_is_the_same_from_either_end() {
    for s in situations() {
        let other = Situation {
            local: s.peer,
            peer: s.local,
            ..s
        };
        assert_eq!(decide(&s), decide(&other), "{s:?}");
    }
}

#[test]
fn where_encryption_is_demanded_clear_frames_go_only_outside_or_under_an_exclusion() {
    for s in situations() {
        let demanded = [s.local, s.peer]
            .iter()
            .any(|e| e.enforcement == Enforcement::DropUnencrypted);
        if demanded && decide(&s).fate == Fate::Clear {
            assert!(
                s.relation == Relation::Outside || (s.excluded && s.relation != Relation::SameHost),
                "{s:?}"
            );
        }
    }
}

#[test]
fn more_enforcement_never_lets_more_through_in_the_clear() {
    for s in situations() {
        let mut stricter = s;
        stricter.local.enforcement = Enforcement::DropUnencrypted;
        let (before, after) = (decide(&s).fate, decide(&stricter).fate);
        assert!(
            before == after || (before == Fate::Clear && after == Fate::Drop),
            "{s:?}: {before:?} to {after:?}"
        );
    }
}

#[test]
fn sealing_needs_both_ends_able_and_willing_and_says_x() {
    for s in situations() {
        let decision = decide(&s);
        assert_eq!(
            decision.code.flow_log_name() == "X",
            decision.fate == Fate::Seal,
            "{s:?}"
        );
        if decision.fate == Fate::Seal {
            for end in [s.local, s.peer] {
                assert!(end.encryption && end.capability == Capability::Supported, "{s:?}");
            }
            assert_eq!(s.relation, Relation::OtherHost(AssociationState::Ready));
        }
    }
}

#[test]
fn frames_stay_on_the_host_exactly_when_both_ends_are_on_it() {
    for s in situations() {
        assert_eq!(
            decide(&s).fate == Fate::Local,
            s.relation == Relation::SameHost,
            "{s:?}"
        );
    }
}
