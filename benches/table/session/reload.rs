//! What a client notices of reloads: how soon the new code answers, how long nothing answers, what is lost, and who answers
//! what was asked before.

use std::time::{Duration, Instant};

use super::{
    GREET, GREETING, calls,
    calls::{Era, Said},
    config,
    direct::Direct,
    load::{Load, Tally},
    peer::{LIMIT, Peer},
};
use crate::{
    Plan,
    corner::Corner,
    run::{Outcome, median, say, wait},
    table::{Row, time},
};

/// How long the pace is kept up without a reload, to compare with.
const CALM: Duration = Duration::from_secs(8);
/// And between two reloads.
const PAUSE: Duration = Duration::from_millis(300);
/// A call that is on its way when the server is replaced.
const SLOW: &str = r#"{"milliseconds":1500}"#;

/// The rows of reloads in a container.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "session-reload")?;
    corner.write("mcpmon.toml", &format!("version = 1\nname = \"{}\"\n{}", corner.name, config()))?;
    let mut rows = vec![save_to_answer(plan, &corner)?];
    rows.extend(under_load(plan, &corner)?);
    rows.push(in_flight(plan, &corner)?);
    Ok(rows)
}

fn session(corner: &Corner) -> Outcome<Peer> {
    corner.write(GREETING, "0\n")?;
    Peer::open(corner, "mcpmon run", corner.command(&["run", "greeter"]), Era::Legacy)
}

/// Asks until the new greeting is heard; gives milliseconds since then.
fn new_code_answers(peer: &mut Peer, era: Era, greeting: &str, since: Instant) -> Outcome<f64> {
    wait("the new code's answer", LIMIT, Duration::from_millis(1), || {
        Ok((peer.call(era, "greet", "{}")? == greeting).then(|| since.elapsed().as_secs_f64() * 1000.0))
    })
}

/// Until the replaced container is gone: the next round meets a quiet engine.
fn settled(corner: &Corner) -> Outcome<()> {
    wait("the old container's end", LIMIT, Duration::from_millis(20), || {
        Ok((corner.containers()?.len() == 1).then_some(()))
    })
}

fn save_to_answer(plan: &Plan, corner: &Corner) -> Outcome<Row> {
    let direct = Direct::connect()?;
    let mut peer = session(corner)?;
    peer.call(Era::Legacy, "greet", "{}")?;
    let (mut saves, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=plan.saves {
        say(&format!("session: save to answer, round {round} of {}", plan.saves));
        let began = Instant::now();
        corner.write(GREETING, &format!("{round}\n"))?;
        saves.push(new_code_answers(&mut peer, Era::Legacy, &round.to_string(), began)?);
        settled(corner)?;
        bare.push(direct.first_answer(corner, &GREET, &corner.content())?);
    }
    peer.close()?;
    let what = "stdio session: save → new code answers (container, delay 0)";
    Ok(Row::ratio(what, median(saves)?, median(bare)?, "create + start + first answer by API", 1.25))
}

fn under_load(plan: &Plan, corner: &Corner) -> Outcome<Vec<Row>> {
    let mut peer = session(corner)?;
    say("session: 50 calls a second, without a reload");
    let mut load = Load::new(&mut peer, Era::Legacy, 0);
    load.go_on(CALM)?;
    let calm = load.finish(LIMIT)?;
    let mut load = Load::new(&mut peer, Era::Legacy, 0);
    for save in 1..=plan.storm {
        say(&format!("session: 50 calls a second, reload {save} of {}", plan.storm));
        load.go_on(PAUSE)?;
        corner.write(GREETING, &format!("{save}\n"))?;
        if !load.heard(save, LIMIT)? {
            return Err(format!("save {save} was not heard within {LIMIT:?}"));
        }
    }
    load.go_on(PAUSE)?;
    let storm = load.finish(LIMIT)?;
    peer.close()?;
    let milliseconds = |gap: Duration| gap.as_secs_f64() * 1000.0;
    let (with, without) = (milliseconds(storm.gap), milliseconds(calm.gap));
    let reloads = plan.storm;
    let Tally { sent, lost, doubled, wrong, errors, .. } = storm;
    Ok(vec![
        Row {
            bound_shown: "100 ms more".into(),
            ..Row::absolute(
                format!("its longest time without an answer, 50 calls/s over {reloads} reloads"),
                with - without,
                100.0,
                "ms more",
                &format!("{} with reloads, {} without", time(with), time(without)),
            )
        },
        #[allow(clippy::cast_precision_loss, reason = "a few thousand calls")]
        Row::absolute(
            format!("calls lost, doubled, wrong or failed among these {sent}"),
            storm.bad() as f64,
            0.0,
            "calls",
            &format!("lost {lost}, doubled {doubled}, wrong {wrong}, failed {errors}"),
        ),
    ])
}

fn in_flight(plan: &Plan, corner: &Corner) -> Outcome<Row> {
    let rounds = plan.rounds.max(2);
    let mut peer = session(corner)?;
    let mut failed = 0;
    let mut told = String::new();
    for round in 1..=rounds {
        say(&format!("session: a call in flight, round {round} of {rounds}"));
        let old = peer.call(Era::Legacy, "greet", "{}")?;
        let number = peer.number();
        peer.send(&calls::call(Era::Legacy, number, "slow", SLOW))?;
        corner.write(GREETING, &format!("{round}\n"))?;
        let (mut swapped, mut slow) = (false, None);
        // Whichever comes first: the new server's greeting, or the old one's late answer.
        while !swapped || slow.is_none() {
            let greet = peer.number();
            peer.send(&calls::call(Era::Legacy, greet, "greet", "{}"))?;
            loop {
                let Some((id, said)) = calls::answer(peer.next()?)? else { continue };
                if id == number {
                    slow = Some(said);
                } else if id == greet {
                    swapped = said == Said::Text(round.to_string());
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(2)); // the pace of asking; no answer is awaited by it
        }
        if slow != Some(Said::Text(format!("slept 1500 ms: {old}"))) {
            failed += 1;
            told = format!("{slow:?}");
        }
        settled(corner)?;
    }
    peer.close()?;
    let what = format!("calls of 1.5 s in flight at a reload, not answered by the old server, of {rounds}");
    Ok(Row::absolute(what, f64::from(failed), 0.0, "calls", &told))
}
