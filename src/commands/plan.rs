//! `mcpmon plan`: what `up` would do. Reads only; every engine call it makes is a GET.

use std::io::Write;

use super::{context::Context, unknown_target};
use crate::{
    cli::{PlanArgs, WatchArgs},
    engine::Engine,
    error::Result,
    output::{diff, show::ignore_closed, style::Paint},
    plan::{Situation, plan, scope},
    reconcile::{
        observe::{leave_out_spares, leave_out_stdio, observe, owners},
        remarks::remarks,
    },
    session,
};

/// Exit code of `--detailed-exitcode` when what runs is not what the file asks for: also where all of that is held.
const CHANGES: u8 = 2;

/// Shows the plan; gives the exit code.
pub async fn run(context: &Context, args: &PlanArgs, out: &mut dyn Write) -> Result<u8> {
    let settings = context.settings(&WatchArgs::default()).await?;
    for message in &settings.warnings {
        context.warn(message.clone());
    }
    let scope = scope(&settings.project, &args.targets).map_err(|name| unknown_target(&settings.project, &name))?;
    let engine = context.connect(settings.session.docker_timeout).await?;
    for message in remarks(&settings.project, &engine.info(), scope.as_ref()) {
        context.warn(message);
    }
    let mut observed = observe(&engine, &settings.project, true).await?;
    let known = session::known();
    leave_out_stdio(&mut observed, &settings.project, &known);
    leave_out_spares(&mut observed, &known);
    let situation = Situation {
        owners: owners(&observed, &settings.project, None, &known),
        scope,
        on_drift: settings.reconcile.on_drift,
        prune: settings.reconcile.prune,
        ..Situation::default()
    };
    let plan = plan(&settings.project, &observed, &situation);
    let text = if context.json() { diff::json(&plan) } else { diff::text(&plan, Paint::stdout()) };
    ignore_closed(writeln!(out, "{}", text.trim_end()))?;
    Ok(if args.detailed_exitcode && !plan.is_empty() { CHANGES } else { 0 })
}
