//! What `cleanup` finds, whose each of it is, and what is to go: pure. It must not know how things are removed.

use std::time::{Duration, SystemTime};

use comfy_table::{Table, presets};

use crate::{
    model::{Labels, ObservedContainer, labels::PID},
    orphan::{
        Verdict,
        age::{YOUNG, age, is_young},
    },
    output::{
        Event, Paint,
        lines::cell,
        style::plain_table,
        words::{LONGEST_NAME, age as in_words, count},
    },
};

/// The longest reason, image or place that is shown whole.
const LONGEST: usize = 160;

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    /// Those of other hosts too.
    pub(super) all_hosts: bool,
    /// Only what is so old.
    pub(super) older_than: Option<Duration>,
}

/// What becomes of something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is an orphan, and goes.
    Goes(String),
    /// It stays: the word for it, and why.
    Stays(&'static str, String),
}

/// Something that carries mcpmon's mark.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The container; none: a network.
    pub(super) container: Option<ObservedContainer>,
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) fate: Fate,
    /// The process that keeps it, or by its label kept it.
    owner: Option<u32>,
    age: Option<Duration>,
}

impl Found {
    /// A container and who owns it. `now`: the engine's clock.
    pub(super) fn container(
        container: ObservedContainer,
        verdict: Verdict,
        now: SystemTime,
        wanted: Wanted,
    ) -> Option<Self> {
        let age = age(&container, now);
        let owner = owner(&verdict, &container.labels);
        let fate = match fate(verdict, wanted)? {
            Fate::Goes(why) if is_young(&container, now) => Fate::Stays(
                "young",
                format!("{why}; left: created less than {} s ago, not started yet", YOUNG.as_secs()),
            ),
            Fate::Goes(why) if wanted.older_than.is_some_and(|limit| age.is_none_or(|age| age < limit)) => {
                Fate::Stays("not_old_enough", format!("{why}; left: younger than --older-than"))
            }
            fate => fate,
        };
        let (name, labels) = (container.name.clone(), container.labels.clone());
        Some(Self { container: Some(container), name, labels, fate, owner, age })
    }

    /// A network and who made it. `in_use`: a project that somebody still keeps may need it.
    pub(super) fn network(
        name: String,
        labels: Labels,
        verdict: Verdict,
        in_use: bool,
        wanted: Wanted,
    ) -> Option<Self> {
        let owner = owner(&verdict, &labels);
        let fate = match fate(verdict, wanted)? {
            Fate::Goes(why) if in_use => {
                Fate::Stays("kept", format!("{why}; left: the project's other containers may use it"))
            }
            // The engine does not tell how old it is.
            Fate::Goes(why) if wanted.older_than.is_some() => {
                Fate::Stays("not_old_enough", format!("{why}; left: the age of networks is not known"))
            }
            fate => fate,
        };
        Some(Self { container: None, name, labels, fate, owner, age: None })
    }

    /// Whether it goes.
    pub(super) fn goes(&self) -> bool {
        matches!(self.fate, Fate::Goes(_))
    }

    /// The word for its fate.
    pub(super) fn verdict(&self) -> &'static str {
        match &self.fate {
            Fate::Goes(_) => "orphan",
            Fate::Stays(word, _) => word,
        }
    }

    pub(super) fn why(&self) -> &str {
        match &self.fate {
            Fate::Goes(why) | Fate::Stays(_, why) => why,
        }
    }

    /// As it is told to programs.
    pub(super) fn event(&self) -> Event {
        let container = self.container.as_ref();
        let label = |value: Option<&str>| value.map(|value| cell(value, LONGEST_NAME));
        Event::Found {
            kind: if container.is_some() { "container" } else { "network" }.into(),
            name: self.name.clone(),
            id: container.map(|container| container.id.clone()),
            image: container.map(|container| container.image.clone()),
            status: container.map(|container| container.status.clone()),
            age_s: self.age.map(|age| age.as_secs()),
            project: label(self.labels.project()),
            target: label(self.labels.target()),
            session: self.labels.session().map(|session| session.to_string()),
            pid: self.owner,
            verdict: self.verdict().into(),
            why: cell(self.why(), LONGEST),
        }
    }

    fn row(&self) -> [String; 6] {
        let or_dash = |text: Option<&str>, longest| text.map_or_else(|| "-".into(), |text| cell(text, longest));
        let place = match (self.labels.project(), self.labels.target()) {
            (Some(project), Some(target)) => Some(format!("{project}/{target}")),
            (Some(project), None) => Some(project.to_owned()),
            _ => None,
        };
        let image = self.container.as_ref().map_or("(network)", |container| &container.image);
        [
            cell(&self.name, LONGEST_NAME),
            cell(image, LONGEST),
            self.age.map_or_else(|| "-".into(), |age| in_words(age.as_secs())),
            or_dash(place.as_deref(), LONGEST),
            self.owner.map_or_else(|| "-".into(), |pid| format!("pid {pid}")),
            cell(self.why(), LONGEST),
        ]
    }
}

/// What becomes of it, by its owner alone; none: it is not mcpmon's.
fn fate(verdict: Verdict, wanted: Wanted) -> Option<Fate> {
    Some(match verdict {
        Verdict::NotManaged => return None,
        Verdict::Owned { pid } => Fate::Stays("owned", format!("kept by pid {pid}")),
        Verdict::Orphan(reason) => Fate::Goes(reason.to_string()),
        Verdict::Kept { file, reason } => Fate::Stays("kept", format!("left on purpose, {file} asks for it; {reason}")),
        Verdict::Remote { place } if wanted.all_hosts => Fate::Goes(format!("asked for by --all-hosts: {place}")),
        Verdict::Remote { place } => Fate::Stays("remote", format!("not judged: {place}")),
    })
}

fn owner(verdict: &Verdict, labels: &Labels) -> Option<u32> {
    if let Verdict::Owned { pid } = verdict {
        return Some(*pid);
    }
    labels.get(PID).and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0)
}

/// The list that a person reads: what goes, in the order of names; `all`: what stays too, behind it.
pub(super) fn table(found: &[Found], all: bool, paint: Paint) -> String {
    let mut shown: Vec<_> = found.iter().filter(|found| all || found.goes()).collect();
    if shown.is_empty() {
        return String::new();
    }
    shown.sort_by(|a, b| (!a.goes(), a.container.is_none(), &a.name).cmp(&(!b.goes(), b.container.is_none(), &b.name)));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "IMAGE", "AGE", "PROJECT/TARGET", "OWNER", "WHY"]);
    for found in shown {
        table.add_row(found.row());
    }
    plain_table(&mut table, paint)
}

/// What is left alone, in one line; none: nothing that anybody would ask for.
pub(super) fn left_alone(found: &[Found]) -> Option<String> {
    let said = [
        ("kept", "kept on purpose"),
        ("young", "too young"),
        ("not_old_enough", "not old enough"),
        ("remote", "of other hosts, not judged here (--all-hosts takes them)"),
    ];
    let said: Vec<String> = said
        .into_iter()
        .map(|(word, words)| (found.iter().filter(|found| found.verdict() == word).count(), words))
        .filter(|(number, _)| *number > 0)
        .map(|(number, words)| format!("{number} {words}"))
        .collect();
    (!said.is_empty()).then(|| format!("left alone: {} (-v lists them)", said.join(", ")))
}

/// `3 containers and 1 network`.
pub(super) fn counted(found: &[Found]) -> String {
    let number = |is_network: bool| found.iter().filter(|found| found.container.is_none() == is_network).count();
    let what = [(number(false), "container"), (number(true), "network")];
    let what: Vec<_> = what.into_iter().filter(|(n, _)| *n > 0).map(|(n, noun)| count(n, noun)).collect();
    what.join(" and ")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{
            State,
            labels::{MANAGED, PROJECT, TARGET},
            testing::{self, labels},
        },
        orphan::Reason,
    };

    const NOW: u64 = 1_000_000;

    fn made(state: State, seconds_ago: i64) -> ObservedContainer {
        let mut container = testing::container(&testing::target("a", "i"));
        (container.state, container.created) = (state, i64::try_from(NOW).unwrap() - seconds_ago);
        container
    }

    fn found(container: ObservedContainer, verdict: Verdict, wanted: Wanted) -> Option<Found> {
        Found::container(container, verdict, UNIX_EPOCH + Duration::from_secs(NOW), wanted)
    }

    #[test]
    fn what_goes_and_what_stays() {
        let dead = || Verdict::Orphan(Reason::Dead(9));
        let kept = || Verdict::Kept { file: "/p/mcpmon.toml".into(), reason: Reason::Dead(9) };
        let remote = || Verdict::Remote { place: "host k".into() };
        let plain = Wanted::default();
        let old = Wanted { older_than: Some(Duration::from_mins(10)), ..plain };
        let all_hosts = Wanted { all_hosts: true, ..plain };
        let cases = [
            (made(State::Running, 5), Verdict::NotManaged, plain, None),
            (made(State::Running, 5), Verdict::NotManaged, all_hosts, None),
            (made(State::Running, 5), Verdict::Owned { pid: 4 }, all_hosts, Some("owned")),
            (made(State::Running, 5), dead(), plain, Some("orphan")),
            (made(State::Created, 5), dead(), plain, Some("young")),
            (made(State::Created, 35), dead(), plain, Some("orphan")),
            (made(State::Running, 5), dead(), old, Some("not_old_enough")),
            (made(State::Running, 599), dead(), old, Some("not_old_enough")),
            (made(State::Running, 600), dead(), old, Some("orphan")),
            (made(State::Running, -5), dead(), old, Some("not_old_enough")),
            (made(State::Running, 5), kept(), all_hosts, Some("kept")),
            (made(State::Running, 5), remote(), plain, Some("remote")),
            (made(State::Running, 5), remote(), all_hosts, Some("orphan")),
            (made(State::Created, 5), remote(), all_hosts, Some("young")),
        ];
        for (container, verdict, wanted, expected) in cases {
            let text = format!("{container:?} {verdict:?} {wanted:?}");
            assert_eq!(found(container, verdict, wanted).map(|found| found.verdict()), expected, "{text}");
        }
        let network = |in_use, wanted| {
            Found::network("n".into(), Labels::default(), dead(), in_use, wanted).map(|found| found.verdict())
        };
        assert_eq!(network(false, plain), Some("orphan"));
        assert_eq!(network(true, plain), Some("kept"));
        assert_eq!(network(false, old), Some("not_old_enough"));
    }

    proptest! {
        /// Whatever labels say: one line for each, and nothing that a terminal would act on.
        #[test]
        fn no_label_breaks_the_table(values in proptest::collection::vec("\\PC{0,20}|[\\x00-\\x1f\\x7f-\u{a0}\u{2028}\u{202e}|,;a]{0,30}", 6)) {
            let mut container = made(State::Running, 5);
            (container.name, container.image, container.status) = (values[0].clone(), values[1].clone(), values[2].clone());
            container.labels = labels([(MANAGED, "true"), (PROJECT, &*values[3]), (TARGET, &*values[4]), (PID, &*values[5])]);
            let verdict = Verdict::Orphan(Reason::BadPid(values[5].clone()));
            let one = found(container, verdict, Wanted::default()).unwrap();
            let text = table(std::slice::from_ref(&one), true, Paint::PLAIN);
            prop_assert_eq!(text.split('\n').count(), 3, "{:?}", text);
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{:?}", text);
            let line = crate::output::lines::json(&one.event());
            prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
            prop_assert!(serde_json::from_str::<Event>(&line).is_ok());
        }
    }

    #[test]
    fn a_huge_label_is_short_in_the_list() {
        let mut container = made(State::Running, 5);
        let huge = "x".repeat(1 << 20);
        container.labels = labels([(MANAGED, "true"), (PROJECT, &*huge), (TARGET, &*huge)]);
        let one = found(container, Verdict::Orphan(Reason::BadPid(huge)), Wanted::default()).unwrap();
        assert!(table(std::slice::from_ref(&one), true, Paint::PLAIN).len() < 2000);
        assert!(crate::output::lines::json(&one.event()).len() < 2000);
    }
}
