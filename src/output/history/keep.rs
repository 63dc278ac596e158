//! What is worth remembering of all that happens, and why it happened. Pure.

use std::collections::{HashMap, HashSet};

use super::Event;
use crate::output::{ActionKind, lines::cell};

/// The longest text that is kept: an error of a build can be long.
const LONGEST: usize = 300;
/// Of how many things the causes are remembered until they happen.
const PENDING: usize = 1000;

/// What is kept of an event.
pub(super) struct Kept {
    pub(super) event: Event,
    pub(super) session: Option<String>,
    pub(super) why: Option<String>,
}

/// Remembers what later events need.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    session: Option<String>,
    causes: HashMap<(String, ActionKind), String>,
    files: HashMap<String, String>,
    /// Their failure was told: what is tried again and again is told once.
    failing: HashSet<String>,
}

impl Keeper {
    /// The event as it is kept; none: it is not. `why` goes before what earlier events told of the cause.
    pub(super) fn keep(&mut self, event: &Event, why: Option<&str>) -> Option<Kept> {
        let mut known = None;
        match event {
            Event::SessionStarted { session, .. } => self.session = Some(cell(session, LONGEST)),
            Event::ActionStarted { target, action, cause } => {
                if self.causes.len() < PENDING && !cause.is_empty() {
                    self.causes.insert((target.clone(), *action), cause.clone());
                }
                return None;
            }
            Event::FilesChanged { target, path, count, .. } => {
                let more = count.saturating_sub(1);
                let more = if more == 0 { String::new() } else { format!(" and {more} more") };
                self.files.insert(target.clone(), format!("{path}{more} changed"));
                return None;
            }
            Event::ActionDone { target, action, .. } => {
                known = self.cause(target, *action);
                self.failing.remove(target);
            }
            Event::ActionFailed { target, action, .. } => {
                known = self.cause(target, *action);
                if !self.failing.insert(target.clone()) {
                    return None;
                }
            }
            Event::Reloaded { target, .. } | Event::ReloadFailed { target, .. } => known = self.files.remove(target),
            // Of a long row of crashes the first ones, and ever fewer of the later ones.
            Event::Crashed { failures, .. } if *failures > 3 && !failures.is_power_of_two() => return None,
            Event::Crashed { .. }
            | Event::ConfigReloaded { .. }
            | Event::ConfigInvalid { .. }
            | Event::EngineLost { .. }
            | Event::EngineBack
            | Event::Stopping { .. }
            | Event::Stopped { .. } => {}
            Event::ActionProgress { .. }
            | Event::Found { .. }
            | Event::Held { .. }
            | Event::Ready { .. }
            | Event::Log { .. }
            | Event::Warning { .. }
            | Event::Error { .. }
            | Event::Unchanged { .. }
            | Event::Started { .. }
            | Event::Settled { .. } => return None,
        }
        let why = why.map(str::to_owned).or(known).filter(|why| !why.is_empty()).map(|why| cell(&why, LONGEST));
        Some(Kept { event: small(event.clone()), session: self.session.clone(), why })
    }

    fn cause(&mut self, target: &str, action: ActionKind) -> Option<String> {
        let cause = self.causes.remove(&(target.to_owned(), action));
        let by_files = matches!(action, ActionKind::Restart | ActionKind::Rebuild);
        if by_files { self.files.get(target).cloned().or(cause) } else { cause }
    }
}

/// Without what servers printed, which may be secret, and with short texts.
fn small(mut event: Event) -> Event {
    let shorten = |text: &mut String| *text = cell(text, LONGEST);
    match &mut event {
        Event::ActionFailed { target, error, hint, log, .. } => {
            log.clear();
            *hint = None;
            shorten(target);
            shorten(error);
        }
        Event::ReloadFailed { target, error, log } => {
            log.clear();
            shorten(target);
            shorten(error);
        }
        Event::Crashed { target, log, .. } => {
            log.clear();
            shorten(target);
        }
        Event::SessionStarted { project, session, targets, .. } => {
            targets.truncate(20);
            targets.iter_mut().for_each(shorten);
            shorten(project);
            shorten(session);
        }
        Event::ActionDone { target, .. } | Event::Reloaded { target, .. } => shorten(target),
        Event::ConfigReloaded { files } => {
            files.truncate(20);
            files.iter_mut().for_each(shorten);
        }
        Event::ConfigInvalid { error } | Event::EngineLost { error } => shorten(error),
        Event::Stopping { cause } => shorten(cause),
        _ => {}
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crashed(failures: u32) -> Event {
        let log = vec!["the key is s3cret".into()];
        Event::Crashed { target: "api".into(), exit_code: Some(1), failures, retry_ms: 0, log }
    }

    #[test]
    fn causes_come_from_earlier_events_and_what_servers_print_is_left_out() {
        let mut keeper = Keeper::default();
        let started = |cause: &str| Event::ActionStarted {
            target: "api".into(),
            action: ActionKind::Replace,
            cause: cause.into(),
        };
        let done = Event::ActionDone { target: "api".into(), action: ActionKind::Replace, duration_ms: 1 };
        assert!(keeper.keep(&started("the image has changed"), None).is_none());
        assert_eq!(keeper.keep(&done, None).unwrap().why.as_deref(), Some("the image has changed"));
        assert_eq!(keeper.keep(&done, None).unwrap().why, None, "a cause is told once");
        assert_eq!(keeper.keep(&done, Some("asked for")).unwrap().why.as_deref(), Some("asked for"));
        let action = ActionKind::Restart;
        keeper.keep(&Event::FilesChanged { target: "api".into(), path: "a.py".into(), count: 3, action }, None);
        let reloaded = Event::Reloaded { target: "api".into(), duration_ms: 1, order: "start-first".into() };
        assert_eq!(keeper.keep(&reloaded, None).unwrap().why.as_deref(), Some("a.py and 2 more changed"));
        let kept = keeper.keep(&crashed(1), None).unwrap();
        assert!(!serde_json::to_string(&kept.event).unwrap().contains("s3cret"));
    }

    #[test]
    fn what_happens_again_and_again_does_not_fill_the_history() {
        let mut keeper = Keeper::default();
        let kept = (1..=1000).filter(|failures| keeper.keep(&crashed(*failures), None).is_some()).count();
        assert_eq!(kept, 11);
        let failed = Event::ActionFailed {
            target: "api".into(),
            action: ActionKind::Build,
            error: "x".repeat(100_000),
            hint: None,
            log: vec!["x".repeat(100_000)],
            retry_ms: Some(1),
        };
        let first = keeper.keep(&failed, None).expect("the first one");
        assert!(serde_json::to_string(&first.event).unwrap().len() < 600);
        assert!(keeper.keep(&failed, None).is_none());
    }
}
